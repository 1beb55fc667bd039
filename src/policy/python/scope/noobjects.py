def _revive(context, user):
    pass
