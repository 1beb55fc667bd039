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


class FlowPlan:
    def __init__(self, data):
        self.flow_pk = ''
        self.bindings = []
        self.context = {}
        self.markers = []
        _fill(self, data)


_CLASSES = {'Application': Application, 'ApplicationEntitlement': ApplicationEntitlement, 'Source': Source, 'Flow': Flow,
            'FlowStageBinding': FlowStageBinding, 'Device': Device, 'DeviceAccessGroup': DeviceAccessGroup,
            'NotificationRule': NotificationRule, 'Endpoint': Endpoint, 'Event': Event}


def _revive(context):
    if type(context) is not dict:
        return
    if type(context.get('flow_plan')) is dict:
        context['flow_plan'] = FlowPlan(context['flow_plan'])
        _revive(context['flow_plan'].context)
    if type(context.get('pending_user')) is dict:
        context['pending_user'] = _pending(context['pending_user'])
    if type(context.get('event')) is dict:
        context['event'] = Event(context['event'])
    for key, kind in (('source', Source), ('application', Application)):
        if type(context.get(key)) is dict:
            context[key] = kind(context[key])


def _pending(data):
    user = {'pk': None, 'username': '', 'name': '', 'email': '', 'attributes': {}, 'is_active': True,
            'is_superuser': False, '_all': [], '_authenticators': [], '_usable': None}
    user.update(data)
    made = _user(user)
    _fill(made, data)
    return made
