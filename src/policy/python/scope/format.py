# What the interpreter does not have: the % operator on texts, and | on dictionaries.
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
    return left | right
