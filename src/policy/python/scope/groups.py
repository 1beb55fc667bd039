# Groups and the look-ups that policies make in them. What authentik's object-relational mapper gives as a query set is
# a list here, so that length, truth, iteration and indexing are a list's.
class Group:
    def __init__(self, data):
        _fill(self, data)

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
    def __init__(self, rows):
        self._rows = rows

    def all(self):
        return list(self._rows)

    def filter(self, **filters):
        return _filter(self._rows, filters)

    def exclude(self, **filters):
        return _filter(self._rows, filters, False)

    def get(self, **filters):
        found = _filter(self._rows, filters)
        if len(found) != 1:
            raise LookupError('Group matching query does not exist.' if not found else
                              'get() returned more than one Group')
        return found[0]

    def exists(self):
        return len(self._rows) > 0

    def count(self):
        return len(self._rows)

    def first(self):
        return self._rows[0] if self._rows else None

    def last(self):
        return self._rows[-1] if self._rows else None

    def values_list(self, *fields, flat=False):
        return _query_values_list(self._rows, *fields, flat=flat)

    def values(self, *fields):
        return _query_values(self._rows, *fields)

    def order_by(self, *fields):
        return _query_order_by(self._rows, *fields)

    def distinct(self):
        return list(self._rows)

    def iterator(self):
        return iter(self._rows)

    def prefetch_related(self, *fields):
        return list(self._rows)

    def select_related(self, *fields):
        return list(self._rows)

    def only(self, *fields):
        return list(self._rows)

    def __contains__(self, row):
        return row in self._rows


# The methods of a query set, for receivers that may be a list or anything else that has such a method.
def _query_all(rows):
    return list(rows) if type(rows) is list else rows.all()


def _query_filter(rows, *args, **filters):
    return _filter(rows, filters) if type(rows) is list else rows.filter(*args, **filters)


def _query_exclude(rows, *args, **filters):
    return _filter(rows, filters, False) if type(rows) is list else rows.exclude(*args, **filters)


def _query_get(rows, *args, **filters):
    return _Manager(rows).get(**filters) if type(rows) is list else rows.get(*args, **filters)


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
    return len(_filter(user.all_groups(), filters)) > 0


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
        return _unsaved(user)
    rows = [Group(one) for one in user._all]
    for row in rows:
        row.parents = [other for other in rows if other.pk in row._parents]
    user.groups = _Manager([row for row in rows if row._direct])
    user.ak_groups = user.groups
    if isinstance(user, User):
        user.all_groups = lambda: list(rows)

        def group_attributes(request=None):
            merged = {}
            for row in sorted(rows, key=lambda row: row.name):
                merged = _merge(merged, row.attributes)
            return _merge(merged, user.attributes)
        user.group_attributes = group_attributes
