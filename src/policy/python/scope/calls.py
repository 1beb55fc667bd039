# Other policies. They see this request, and what they change in its context stays.
class PolicyResult:
    def __init__(self, data):
        self.passing = data['passing']
        self.messages = tuple(data['messages'])
        self.raw_result = data['raw']

    def __str__(self):
        return 'PolicyResult passing=' + str(self.passing)


def ak_call_policy(name, **changes):
    _request.context.update(changes)
    found = _host('policy', name, _request.context, getattr(_request.user, 'attributes', None))
    if found is None:
        raise ValueError("Policy '" + str(name) + "' not found.")
    if found['context'] is not None:
        _revive(found['context'], _request.user)
        _request.context.clear()
        _request.context.update(found['context'])
    return PolicyResult(found)
