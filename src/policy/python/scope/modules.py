# Modules that the interpreter does not have.
class _Hash:
    def __init__(self, name, data=b''):
        self.name = name
        self._data = data

    def update(self, data):
        self._data = self._data + data

    def digest(self):
        return _host('hash', self.name, self._data)

    def hexdigest(self):
        return self.digest().hex()


_hashlib = _Thing({'md5': lambda data=b'', **kw: _Hash('md5', data),
                   'sha1': lambda data=b'', **kw: _Hash('sha1', data),
                   'sha256': lambda data=b'', **kw: _Hash('sha256', data),
                   'sha512': lambda data=b'', **kw: _Hash('sha512', data),
                   'new': lambda name, data=b'': _Hash(name, data)})


def _now():
    return _dt.datetime.now(_utc)


def _localtime(value=None, timezone=None):
    return _in_zone(_now() if value is None else value, timezone)


def _deep(value):
    if type(value) is dict:
        return {key: _deep(item) for key, item in value.items()}
    if type(value) is list:
        return [_deep(item) for item in value]
    if type(value) is tuple:
        return tuple([_deep(item) for item in value])
    return set(value) if type(value) is set else value


def _shallow(value):
    return type(value)(value) if type(value) in (dict, list, set) else value


_time = _Thing({'time': lambda: _now().timestamp()})
_timezone = _Thing({'now': _now, 'localtime': _localtime, 'timedelta': _dt.timedelta, 'utc': _utc})
_copy = _Thing({'copy': _shallow, 'deepcopy': _deep})
_string = _Thing({'ascii_letters': 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ',
                  'ascii_lowercase': 'abcdefghijklmnopqrstuvwxyz', 'ascii_uppercase': 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
                  'digits': '0123456789', 'hexdigits': '0123456789abcdefABCDEF', 'octdigits': '01234567',
                  'punctuation': '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~', 'whitespace': ' \t\n\r\x0b\x0c'})
