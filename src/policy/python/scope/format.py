# What the interpreter does not have: the % operator on texts, | on dictionaries, and format().
_LETTERS = 'diouxXeEfFgGcrsa'


def _remainder(left, right):
    if type(left) is not str:
        return left % right
    values = list(right) if type(right) is tuple else [right]
    named = type(right) is dict
    out = ''
    at = 0
    while at < len(left):
        letter = left[at]
        at += 1
        if letter != '%':
            out += letter
            continue
        if at < len(left) and left[at] == '%':
            out += '%'
            at += 1
            continue
        key = None
        if at < len(left) and left[at] == '(':
            end = left.index(')', at)
            key = left[at + 1:end]
            at = end + 1
        start = at
        while at < len(left) and left[at] not in _LETTERS:
            at += 1
        if at >= len(left):
            raise ValueError('incomplete format')
        spec = left[start:at]
        letter = left[at]
        at += 1
        if key is not None:
            value = right[key]
        elif named and not values:
            raise TypeError('not enough arguments for format string')
        else:
            if not values:
                raise TypeError('not enough arguments for format string')
            value = values.pop(0)
        out += _formatted(spec, letter, value)
    if values and not named:
        raise TypeError('not all arguments converted during string formatting')
    return out


def _formatted(spec, letter, value):
    flags = ''
    while spec and spec[0] in '-+ #0':
        flags += spec[0]
        spec = spec[1:]
    if letter in 'sra':
        text = str(value) if letter == 's' else repr(value)
        width, dot, precision = spec.partition('.')
        if dot:
            text = text[:int(precision or '0')]
        return text.ljust(int(width or '0')) if '-' in flags else text.rjust(int(width or '0'))
    if letter in 'diu':
        if type(value) is str:
            raise TypeError('%' + letter + ' format: a real number is required, not str')
        value = int(value)
        letter = 'd'
    if letter == 'c' and type(value) is str:
        return value
    align = '<' if '-' in flags else ''
    sign = '+' if '+' in flags else ' ' if ' ' in flags else ''
    zero = '0' if '0' in flags and not align else ''
    alternate = '#' if '#' in flags else ''
    spec = align + sign + alternate + zero + spec + letter
    return f'{value:{spec}}'


def _union(left, right):
    if type(left) is dict and type(right) is dict:
        both = dict(left)
        both.update(right)
        return both
    # `int | str`, as isinstance() takes it: only types are written so.
    if type(left) is tuple or repr(type(left)) == "<class 'type'>":
        return (*(left if type(left) is tuple else (left,)), type(None) if right is None else right)
    return left | right


# `left |= right`
def _join(left, right):
    if type(left) is dict:
        left.update(right)
        return left
    left |= right
    return left


def format(value, spec=''):
    return f'{value:{spec}}' if spec else str(value)


# Truth values are numbers in Python.
def _sum(items, start=0):
    return sum([int(item) if type(item) is bool else item for item in items], start)


# `left < right` is written as `_order(left, '<', right)`.
def _order(left, operator, right):
    if type(left) in (set, frozenset) and type(right) in (set, frozenset):
        if operator[0] == '>':
            left, right = right, left
        return left.issubset(right) and (len(operator) == 2 or len(left) < len(right))
    if hasattr(left, '_digits') and hasattr(right, '_digits'):
        if left.version != right.version:
            raise TypeError(str(left) + ' and ' + str(right) + ' are not of the same version')
        left = left._digits
        right = right._digits
    return left < right if operator == '<' else left <= right if operator == '<=' else left > right if operator == '>' else left >= right
