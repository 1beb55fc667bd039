# What would leave the process. Each ends the policy with an error that names it; it cannot be caught.
def resolve_dns(*args, **named):
    return _refuse('resolve_dns')


def reverse_dns(*args, **named):
    return _refuse('reverse_dns')


def ak_create_event(*args, **named):
    return _refuse('ak_create_event')


def ak_create_jwt(*args, **named):
    return _refuse('ak_create_jwt')


def ak_send_email(*args, **named):
    return _refuse('ak_send_email')


requests = _Thing({name: (lambda *args, **named: _refuse('requests')) for name in
                   ('get', 'post', 'put', 'patch', 'delete', 'head', 'options', 'request', 'Session', 'session')})
