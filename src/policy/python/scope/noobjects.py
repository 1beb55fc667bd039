def _revive(context):
    pass
