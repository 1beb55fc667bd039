# Groups and the look-ups that policies make in them. What authentik's object-relational mapper gives as a query set is
# a list here, so that length, truth, iteration and indexing are a list's.
class Group:
    def __init__(self, data):
        self.pk = data['pk']
        self.group_uuid = data['pk']
        self.name = data['name']
        self.is_superuser = data['is_superuser']
        self.attributes = data['attributes']

    def __str__(self):
        return 'Group ' + self.name

    def __repr__(self):
        return '<Group: Group ' + self.name + '>'

    def is_member(self, user):
        return self in user.all_groups()

    def __eq__(self, other):
        return isinstance(other, Group) and self.pk == other.pk

    def __hash__(self):
        return hash(self.pk)


# The groups of a user, made when they are first looked at: most policies ask for one by name.
class _Held:
    def __init__(self, data):
        self.data = data
        self.made = None

    def all(self):
        if self.made is None:
            self.made = [Group(one) for one in self.data]
            if _with_parents:
                for row, one in zip(self.made, self.data):
                    row.parents = [other for other in self.made if other.pk in one['_parents']]
                    row.ancestor_nodes = row.parents
        return self.made

    def direct(self):
        return [row for row, one in zip(self.all(), self.data) if one['_direct']]


_GROUP_FIELDS = 'ancestor_nodes, attributes, group_uuid, is_superuser, name, parents'
_USER_FIELDS = 'attributes, email, id, is_active, name, path, pk, type, username, uuid'



def _values(row, path):
    value = row
    for part in path:
        if type(value) is dict:
            if part not in value:
                return None
            value = value[part]
        elif type(value) is list:
            if not part.isdigit() or int(part) >= len(value):
                return None
            value = value[int(part)]
        elif value is None:
            return None
        else:
            value = getattr(value, part)
    return value


_LOOKUPS = ('exact', 'iexact', 'in', 'contains', 'icontains', 'startswith', 'istartswith', 'endswith', 'iendswith',
            'regex', 'iregex', 'isnull', 'gt', 'gte', 'lt', 'lte')


def _compare(value, lookup, wanted):
    if lookup == 'exact':
        return value == wanted
    if lookup == 'isnull':
        return (value is None) == wanted
    if lookup == 'in':
        return value in wanted
    if value is None:
        return False
    if lookup == 'gt':
        return value > wanted
    if lookup == 'gte':
        return value >= wanted
    if lookup == 'lt':
        return value < wanted
    if lookup == 'lte':
        return value <= wanted
    if lookup == 'contains' and type(value) is not str:
        if type(value) is dict and type(wanted) is dict:
            return all(key in value and value[key] == item for key, item in wanted.items())
        if type(value) is list:
            return all(item in value for item in (wanted if type(wanted) is list else [wanted]))
        return value == wanted
    value = str(value)
    if lookup == 'regex' or lookup == 'iregex':
        import re as _re
        return _re.search(wanted, value, _re.IGNORECASE if lookup == 'iregex' else 0) is not None
    wanted = str(wanted)
    if lookup[0] == 'i' and lookup != 'in':
        lookup = lookup[1:]
        value = value.lower()
        wanted = wanted.lower()
    if lookup == 'exact':
        return value == wanted
    if lookup == 'contains':
        return wanted in value
    if lookup == 'startswith':
        return value.startswith(wanted)
    return value.endswith(wanted)


def _split(key, fields):
    path = key.split('__')
    lookup = 'exact'
    if len(path) > 1 and path[-1] in _LOOKUPS:
        lookup = path[-1]
        path = path[:-1]
    if path[0] not in fields.split(', ') and path[0] not in ('pk', 'id'):
        raise TypeError("Cannot resolve keyword '" + path[0] + "' into field. Choices are: " + fields)
    return path, lookup


def _matches(row, filters):
    fields = _USER_FIELDS if isinstance(row, User) else _GROUP_FIELDS
    for key, wanted in filters.items():
        path, lookup = _split(key, fields)
        if path[0] == 'parents' or path[0] == 'ancestor_nodes':
            rows = getattr(row, path[0])
            if not any(_compare(_values(one, path[1:] or ['pk']), lookup, _plain(wanted)) for one in rows):
                return False
        elif not _compare(_values(row, path), lookup, _plain(wanted)):
            return False
    return True


def _plain(value):
    if isinstance(value, Group) or isinstance(value, User):
        return value.pk
    return value


def _filter(rows, filters, wanted=True):
    for key in filters:
        _split(key, _GROUP_FIELDS)
    return [row for row in rows if _matches(row, filters) == wanted]


class _Manager:
    def __init__(self, held):
        self._held = held
        self._made = None

    def all(self):
        if self._made is None:
            self._made = self._held.direct()
        return list(self._made)

    def filter(self, **filters):
        return _filter(self.all(), filters)

    def exclude(self, **filters):
        return _filter(self.all(), filters, False)

    def get(self, **filters):
        return _query_get(self.all(), **filters)

    def exists(self):
        return len(self.all()) > 0

    def count(self):
        return len(self.all())

    def first(self):
        return _query_first(self.all())

    def last(self):
        return _query_last(self.all())

    def values_list(self, *fields, flat=False):
        return _query_values_list(self.all(), *fields, flat=flat)

    def values(self, *fields):
        return _query_values(self.all(), *fields)

    def order_by(self, *fields):
        return _query_order_by(self.all(), *fields)

    def distinct(self):
        return self.all()

    def iterator(self):
        return iter(self.all())

    def prefetch_related(self, *fields):
        return self.all()

    def select_related(self, *fields):
        return self.all()

    def only(self, *fields):
        return self.all()

    def __contains__(self, row):
        return row in self.all()


# The methods of a query set, for receivers that may be a list or anything else that has such a method.
def _query_all(rows):
    return list(rows) if type(rows) is list else rows.all()


def _query_filter(rows, *args, **filters):
    return _filter(rows, filters) if type(rows) is list else rows.filter(*args, **filters)


def _query_exclude(rows, *args, **filters):
    return _filter(rows, filters, False) if type(rows) is list else rows.exclude(*args, **filters)


def _query_get(rows, *args, **filters):
    if type(rows) is not list:
        return rows.get(*args, **filters)
    found = _filter(rows, filters)
    if len(found) != 1:
        raise LookupError('Group matching query does not exist.' if not found else 'get() returned more than one Group')
    return found[0]


def _query_exists(rows):
    return len(rows) > 0 if type(rows) is list else rows.exists()


def _query_count(rows, *args):
    if type(rows) is list and not args:
        return len(rows)
    return rows.count(*args)


def _query_first(rows):
    if type(rows) is list:
        return rows[0] if rows else None
    return rows.first()


def _query_last(rows):
    if type(rows) is list:
        return rows[-1] if rows else None
    return rows.last()


def _query_distinct(rows, *fields):
    return list(rows) if type(rows) is list else rows.distinct(*fields)


def _query_iterator(rows):
    return iter(rows) if type(rows) is list else rows.iterator()


def _query_prefetch_related(rows, *fields):
    return list(rows) if type(rows) is list else rows.prefetch_related(*fields)


def _query_select_related(rows, *fields):
    return list(rows) if type(rows) is list else rows.select_related(*fields)


def _query_only(rows, *fields):
    return list(rows) if type(rows) is list else rows.only(*fields)


def _query_order_by(rows, *fields):
    if type(rows) is not list:
        return rows.order_by(*fields)
    for field in reversed(fields):
        name = field.lstrip('-')
        rows = sorted(rows, key=lambda row: getattr(row, name), reverse=field.startswith('-'))
    return list(rows)


def _query_values_list(rows, *fields, flat=False):
    if type(rows) is not list:
        return rows.values_list(*fields, flat=flat)
    if flat:
        return [_values(row, fields[0].split('__')) for row in rows]
    return [tuple([_values(row, field.split('__')) for field in fields]) for row in rows]


def _query_values(rows, *fields):
    if type(rows) is not list:
        return rows.values(*fields)
    return [{field: _values(row, field.split('__')) for field in fields} for row in rows]


def _merge(into, other):
    for key, value in other.items():
        if key not in into:
            into[key] = value
        elif type(into[key]) is dict and type(value) is dict:
            into[key] = _merge(dict(into[key]), value)
        elif type(into[key]) is list and type(value) is list:
            into[key] = into[key] + value
        else:
            into[key] = value
    return into


def ak_is_group_member(user, **filters):
    rows = user.all_groups
    if user._held is None or any(key not in ('name', 'pk', 'group_uuid', 'is_superuser') for key in filters):
        return len(_filter(rows(), filters)) > 0
    for one in user._held.data:
        if all([one[key] == wanted for key, wanted in filters.items()]):
            return True
    return False


# Somebody who is not stored yet has no groups to look in.
def _unsaved(user):
    def refuse(*args, **named):
        raise ValueError('"' + repr(user) + '" is not stored yet, so its groups cannot be looked at')
    user.all_groups = refuse
    user.group_attributes = refuse
    user.groups = _Thing({name: refuse for name in
                          ('all', 'filter', 'exclude', 'get', 'exists', 'count', 'first', 'last', 'values_list', 'values',
                           'order_by', 'distinct', 'iterator', 'prefetch_related', 'select_related', 'only')})
    user.ak_groups = user.groups


def _equip(user):
    if isinstance(user, User) and user.pk is None:
        user._held = None
        return _unsaved(user)
    held = _Held(user._all)
    user.groups = _Manager(held)
    user.ak_groups = user.groups
    if isinstance(user, User):
        user._held = held
        user.all_groups = lambda: list(held.all())

        def group_attributes(request=None):
            merged = {}
            for one in sorted(held.data, key=lambda one: one['name']):
                merged = _merge(merged, one['attributes'])
            return _merge(merged, user.attributes)
        user.group_attributes = group_attributes
