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


import datetime as _datetime


def _now():
    return _datetime.datetime.now(_datetime.timezone.utc)


_time = _Thing({'time': lambda: _now().timestamp()})
_timezone = _Thing({'now': _now, 'localtime': lambda value=None: _now() if value is None else value,
                    'timedelta': _datetime.timedelta, 'utc': _datetime.timezone.utc})
_string = _Thing({'ascii_letters': 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ',
                  'ascii_lowercase': 'abcdefghijklmnopqrstuvwxyz', 'ascii_uppercase': 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
                  'digits': '0123456789', 'hexdigits': '0123456789abcdefABCDEF', 'octdigits': '01234567',
                  'punctuation': '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~', 'whitespace': ' \t\n\r\x0b\x0c'})
