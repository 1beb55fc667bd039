# Other users of the directory.
def ak_user_by(**filters):
    for key in filters:
        path = key.split('__')
        if path[0] not in _USER_FIELDS.split(', '):
            return None
    simple = {key: value for key, value in filters.items() if type(value) in (str, int, float, bool)}
    for found in _host('users', simple):
        user = _user(found)
        if _matches(user, filters):
            return user
    return None
