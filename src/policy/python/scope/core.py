# What every expression has: the request, its user, its context, and messages.
_messages = []


def ak_message(text):
    _messages.append(str(text))


class User:
    def __init__(self, data):
        _fill(self, data)
        self.is_authenticated = True
        self.is_anonymous = False

    def __str__(self):
        return self.username

    def __repr__(self):
        return '<User: ' + self.username + '>'

    def __eq__(self, other):
        if self.pk is None or not isinstance(other, User):
            return self is other
        return self.pk == other.pk

    def __hash__(self):
        return hash(self.pk)

    def has_usable_password(self):
        if self._usable is None:
            raise ValueError('it is not known whether `' + self.username + '` has a password; sync has_usable_password')
        return self._usable


class AnonymousUser:
    def __init__(self, data):
        _fill(self, data)
        self.is_authenticated = False
        self.is_anonymous = True

    def __str__(self):
        return 'AnonymousUser'

    def __eq__(self, other):
        return isinstance(other, AnonymousUser)

    def __hash__(self):
        return 1


def _fill(thing, data):
    for _key, _value in data.items():
        setattr(thing, _key, _value)


def _user(data):
    if data is None:
        return None
    user = AnonymousUser(data) if data.get('_nobody') else User(data)
    _equip(user)
    return user


class PolicyRequest:
    def __init__(self, user, context):
        self.user = user
        self.context = context
        self.http_request = None
        self.obj = None
        self.debug = False


class _Thing:
    def __init__(self, data):
        _fill(self, data)


def _refuse(name):
    return _host('refuse', name)


def _error_text(*args):
    if len(args) == 1:
        return str(args[0])
    return str(args)


def _remove(thing, key):
    if type(thing) is list and type(key) is slice:
        gone = range(len(thing))[key]
        rest = [item for at, item in enumerate(thing) if at not in gone]
        thing.clear()
        thing.extend(rest)
    elif type(thing) is dict or type(thing) is list:
        thing.pop(key)
    else:
        thing.__delitem__(key)


def _assert(held, message):
    if not held:
        raise AssertionError(message())
