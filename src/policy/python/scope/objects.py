# Objects that context and target are: plain data with authentik's class names.
class Application:
    def __init__(self, data):
        _fill(self, data)

    def __str__(self):
        return self.name


class ApplicationEntitlement:
    def __init__(self, data):
        _fill(self, data)

    def __str__(self):
        return self.name


class Source:
    def __init__(self, data):
        _fill(self, data)

    def __str__(self):
        return self.name


class Flow:
    def __init__(self, data):
        _fill(self, data)

    def __str__(self):
        return 'Flow ' + self.name + ' (' + self.slug + ')'


class FlowStageBinding:
    def __init__(self, data):
        _fill(self, data)


class Device:
    def __init__(self, data):
        _fill(self, data)

    def __str__(self):
        return self.name


class DeviceAccessGroup:
    def __init__(self, data):
        _fill(self, data)

    def __str__(self):
        return self.name


class NotificationRule:
    def __init__(self, data):
        _fill(self, data)

    def __str__(self):
        return self.name


class Endpoint:
    def __init__(self, data):
        _fill(self, data)

    def __str__(self):
        return self.name


class Event:
    def __init__(self, data):
        _fill(self, data)

    def __str__(self):
        return 'Event action=' + self.action


class Stage:
    def __init__(self, data):
        _fill(self, data)

    def __str__(self):
        return 'Stage ' + self.name


class FlowPlan:
    def __init__(self, data):
        self.flow_pk = ''
        self.bindings = []
        self.context = {}
        self.markers = []
        _fill(self, data)
        self.bindings = [_placed(one) if type(one) is dict else one for one in self.bindings]


def _placed(data):
    placed = FlowStageBinding(data)
    if type(data.get('stage')) is dict:
        placed.stage = Stage(data['stage'])
    return placed


_CLASSES = {'Application': Application, 'ApplicationEntitlement': ApplicationEntitlement, 'Source': Source, 'Flow': Flow,
            'FlowStageBinding': FlowStageBinding, 'Device': Device, 'DeviceAccessGroup': DeviceAccessGroup,
            'NotificationRule': NotificationRule, 'Endpoint': Endpoint, 'Event': Event}


# The values of a plan's context are those of the context around it, the very same objects.
def _revive(context, user):
    if type(context) is not dict:
        return
    data = context.get('flow_plan')
    shared = None
    if type(data) is dict and type(data.get('context')) is dict:
        own = data['context']
        shared = [key for key in own if key in context and own[key] == context[key]]
    _enliven(context, user)
    if type(data) is not dict:
        return
    plan = FlowPlan(data)
    if shared is None:
        plan.context = {key: value for key, value in context.items() if key != 'flow_plan'}
    else:
        for key in shared:
            plan.context[key] = context[key]
        _enliven(plan.context, user)
    context['flow_plan'] = plan


def _enliven(context, user):
    if type(context.get('pending_user')) is dict:
        context['pending_user'] = _pending(context['pending_user'], user)
    if type(context.get('event')) is dict:
        context['event'] = Event(context['event'])
    for key, kind in (('source', Source), ('application', Application)):
        if type(context.get(key)) is dict:
            context[key] = kind(context[key])


# While a flow is about somebody, that is whom policies are asked about: one and the same object.
def _pending(data, user):
    key = data.get('pk', data.get('user_id'))
    if isinstance(user, User):
        same = str(key) == str(user.pk) if key is not None else data.get('username') == user.username
        if same:
            for name, value in data.items():
                if not hasattr(user, name):
                    setattr(user, name, value)
            return user
    made = {'pk': key, 'username': '', 'name': '', 'email': '', 'attributes': {}, 'is_active': True,
            'is_superuser': False, '_all': [], '_authenticators': [], '_usable': None}
    made.update(data)
    made = _user(made)
    _fill(made, data)
    return made
