def _equip(user):
    pass
