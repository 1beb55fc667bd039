# Texts: patterns, slugs, lists of one.
import re as _re
import unicodedata as _unicodedata


def regex_match(value, regex):
    return _re.search(regex, value) is not None


def regex_replace(value, regex, repl):
    return _re.sub(regex, repl, value)


def list_flatten(value):
    if type(value) is list:
        return value[0] if value else None
    return value


def slugify(value, allow_unicode=False):
    value = str(value)
    if allow_unicode:
        value = _unicodedata.normalize('NFKC', value)
    else:
        value = ''.join([letter for letter in _unicodedata.normalize('NFKD', value) if ord(letter) < 128])
    value = _re.sub(r'[^\w\s-]', '', value.lower())
    return _re.sub(r'[-\s]+', '-', value).strip('-_')


_slugify = slugify
_texts = _Thing({'slugify': slugify})
