# The HTTP request, as far as the caller gave it. There is no session.
class _Headers:
    def __init__(self, items):
        self._items = {key.lower(): (key, value) for key, value in items.items()}

    def get(self, key, default=None):
        return self._items[key.lower()][1] if key.lower() in self._items else default

    def __contains__(self, key):
        return key.lower() in self._items

    def __iter__(self):
        return iter([key for key, value in self._items.values()])

    def keys(self):
        return [key for key, value in self._items.values()]

    def values(self):
        return [value for key, value in self._items.values()]

    def items(self):
        return list(self._items.values())

    def _item(self, key):
        if key.lower() not in self._items:
            raise KeyError(key)
        return self._items[key.lower()][1]


class WSGIRequest:
    def __init__(self, data, user):
        lists = {}
        for name in ('GET', 'POST'):
            lists[name] = data['_' + name]
            setattr(self, name, {key: values[-1] for key, values in lists[name].items()})
        self._lists = lists
        self.method = data['method']
        self.path = data['path']
        self.path_info = data['path']
        self.scheme = data['scheme']
        self.META = data['META']
        self.COOKIES = data['COOKIES']
        self.headers = _Headers(data['headers'])
        self.body = data['body']
        self.content_type = data['content_type']
        self.user = user
        # What users may change by themselves: authentik's defaults.
        self.tenant = _Thing({'default_user_change_name': True, 'default_user_change_email': False,
                              'default_user_change_username': False})
        self._host = data['host']
        self._full = data['full']
        self.brand = _Thing({'branding_title': data['brand'], 'domain': data['host']}) if data['brand'] is not None else None

    def __repr__(self):
        return '<WSGIRequest: ' + self.method + " '" + self._full + "'>"

    def get_full_path(self):
        return self._full

    def get_host(self):
        return self._host

    def is_secure(self):
        return self.scheme == 'https'

    def build_absolute_uri(self, location=None):
        return self.scheme + '://' + self._host + (self._full if location is None else location)


def _getlist(values, key, default=None):
    if _http is not None:
        for name in ('GET', 'POST'):
            if values is getattr(_http, name):
                return _http._lists[name].get(key, [] if default is None else default)
    return values.getlist(key)


def _item(thing, key):
    return thing._item(key) if isinstance(thing, _Headers) else thing[key]


_http = None
