"""What is asked of objects for Kubernetes beyond their schema: the restricted pod security standard, and that whoever refers to
something finds it. Knows nothing of where they come from."""

import copy

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
WORKLOADS = {"DaemonSet", "Deployment", "Job", "StatefulSet"}
# What whoever deploys brings along.
BROUGHT = {
    ("Secret", "bindery-keys"), ("Secret", "bindery-tls"), ("Secret", "bindery-hub-tls"), ("Secret", "bindery-tokens"),
    ("ConfigMap", "company"),
}  # fmt: skip


def problems(objects, read_settings):
    """Everything that is wrong, each in a line."""
    found = []
    names = {(one["kind"], one["metadata"]["name"]) for one in objects} | BROUGHT
    if len({(one["kind"], one["metadata"]["name"]) for one in objects}) != len(objects):
        found.append("two objects have one name")
    workloads = [one for one in objects if one["kind"] in WORKLOADS]
    for one in workloads:
        found += [f"{one['kind']} {one['metadata']['name']}: {what}" for what in workload(one, objects, names, read_settings)]
    for one in objects:
        found += [f"{one['kind']} {one['metadata']['name']}: {what}" for what in references(one, workloads)]
    return found


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def workload(one, objects, names, read_settings):
    template = one["spec"]["template"]
    spec, labels = template["spec"], template["metadata"].get("labels", {})
    if not matches(one["spec"]["selector"], labels):
        yield "its selector does not fit its own pods"
    yield from restricted(spec)
    yield from house(spec)
    for constraint in spec.get("topologySpreadConstraints", []):
        if not matches(constraint["labelSelector"], labels):
            yield "a topologySpreadConstraint is about other pods"
    if ("ServiceAccount", spec.get("serviceAccountName")) not in names and spec.get("serviceAccountName") != "default":
        yield f"no ServiceAccount `{spec.get('serviceAccountName')}`"
    claimed = [claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", [])]
    volumes = spec.get("volumes", [])
    for kind, name in sources(volumes):
        if (kind, name) not in names:
            yield f"no {kind} `{name}`"
    there = claimed + [volume["name"] for volume in volumes]
    for container in containers(spec):
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in there:
                yield f"{container['name']}: no volume `{mount['name']}`"
    if "serviceName" in one["spec"] and ("Service", one["spec"]["serviceName"]) not in names:
        yield f"no Service `{one['spec']['serviceName']}`"
    yield from ending(spec, objects, read_settings)


def sources(volumes, key=None):
    """Whose content volumes are: all of it, or only where it has a key."""
    for volume in volumes:
        for part in [volume, *volume.get("projected", {}).get("sources", [])]:
            items = (part.get("configMap") or part.get("secret") or {}).get("items")
            if key and items and key not in [item["key"] for item in items]:
                continue
            if "configMap" in part:
                yield "ConfigMap", part["configMap"]["name"]
            if "secret" in part:
                yield "Secret", part["secret"].get("secretName") or part["secret"]["name"]


def ending(spec, objects, read_settings):
    """The grace period covers what everybody takes to end, one after the other."""
    takes = 0
    for container in containers(spec):
        sleeps = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
        takes += int(sleeps[-1]) if sleeps[:1] == ["sleep"] else 0
        if container["name"] == "bindery":
            maps = {name for kind, name in sources(spec.get("volumes", []), "bindery.toml") if kind == "ConfigMap"}
            texts = [
                one["data"]["bindery.toml"]
                for one in objects
                if one["kind"] == "ConfigMap" and one["metadata"]["name"] in maps and "bindery.toml" in one["data"]
            ]
            if len(texts) != 1:
                yield f"bindery: {len(texts)} settings files are mounted"
            for text in texts:
                settings = read_settings(text)
                takes += settings.get("shutdown_delay_seconds", 0) + settings.get("drain_seconds", 10)
    if spec.get("terminationGracePeriodSeconds", 30) < takes + 5:
        yield f"terminationGracePeriodSeconds: it takes {takes} seconds to end"


def restricted(spec):
    """The restricted pod security standard."""
    outer = spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{field} is set"
    if outer.get("sysctls"):
        yield "sysctls are set"
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume `{volume['name']}` is of a kind that is not allowed"
    for container in containers(spec) + spec.get("ephemeralContainers", []):
        name, inner = container["name"], container.get("securityContext", {})

        def effective(field, inner=inner):
            return inner.get(field, outer.get(field))

        if inner.get("privileged"):
            yield f"{name}: it is privileged"
        if inner.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation is not false"
        if effective("runAsNonRoot") is not True:
            yield f"{name}: runAsNonRoot is not true"
        if effective("runAsUser") == 0:
            yield f"{name}: runAsUser is 0"
        if (effective("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: no seccompProfile"
        capabilities = inner.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            yield f"{name}: capabilities are not dropped"
        if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{name}: capabilities are added"
        if inner.get("procMount", "Default") != "Default":
            yield f"{name}: procMount is set"
        if (effective("appArmorProfile") or {}).get("type") == "Unconfined":
            yield f"{name}: AppArmor is off"
        if (effective("seLinuxOptions") or {}).get("user"):
            yield f"{name}: SELinux user is set"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name}: a hostPort is set"


def house(spec):
    """What else every pod here has."""
    if spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken is not false"
    for container in containers(spec):
        name = container["name"]
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{name}: readOnlyRootFilesystem is not true"
        if (container.get("securityContext", {}).get("runAsUser") or spec["securityContext"].get("runAsUser")) is None:
            yield f"{name}: no runAsUser"
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
            yield f"{name}: resources are not told"
        image = container["image"].rpartition("/")[2]
        if "@" not in image and (":" not in image or image.endswith(":latest")):
            yield f"{name}: its image has no version"
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe not in container:
                yield f"{name}: no {probe}"
                continue
            port = container[probe].get("httpGet", {}).get("port", container[probe].get("grpc", {}).get("port"))
            if port is not None and port not in ports and port not in ports.values():
                yield f"{name}: {probe}: no port {port}"
    for container in spec.get("initContainers", []):
        if container.get("restartPolicy") != "Always":
            yield f"{container['name']}: it is no native sidecar"
    order = [container["name"] for container in containers(spec)]
    if "envoy" in order and order != ["bindery", "envoy", *order[2:]]:
        yield f"the pod starts in the order {order}; bindery has to be there before Envoy"


def matches(selector, labels):
    wanted = selector.get("matchLabels", selector if "matchExpressions" not in selector else {})
    return bool(wanted) and all(labels.get(name) == value for name, value in wanted.items())


def references(one, workloads):
    """Whoever selects pods finds some, with the ports that it names."""
    kind, spec = one["kind"], one.get("spec", {})

    def chosen(selector):
        return [
            w["spec"]["template"]["spec"] for w in workloads if matches(selector, w["spec"]["template"]["metadata"]["labels"])
        ]

    def ports(found):
        return {p["name"] for spec in found for c in containers(spec) for p in c.get("ports", [])}

    if kind == "Service":
        found, wanted = chosen(spec["selector"]), {port["targetPort"] for port in spec["ports"]}
    elif kind == "PodMonitor":
        found, wanted = chosen(spec["selector"]), {end["port"] for end in spec["podMetricsEndpoints"]}
    elif kind == "NetworkPolicy":
        found = chosen(spec["podSelector"])
        wanted = {port["port"] for rule in spec.get("ingress", []) for port in rule.get("ports", [])}
        if set(spec["policyTypes"]) != {"Ingress", "Egress"}:
            yield "it is not about both directions"
    elif kind == "PodDisruptionBudget":
        found, wanted = chosen(spec["selector"]), set()
        if spec.get("maxUnavailable") in (0, "0%"):
            yield "it lets no node be emptied"
    elif kind == "HorizontalPodAutoscaler":
        aim = spec["scaleTargetRef"]
        aims = [w for w in workloads if (w["kind"], w["metadata"]["name"]) == (aim["kind"], aim["name"])]
        found, wanted = [w["spec"]["template"]["spec"] for w in aims], set()
        if any("replicas" in w["spec"] for w in aims):
            yield "what it scales has replicas of its own"
    else:
        return
    if not found:
        yield "it chooses no pod"
    elif not wanted <= ports(found):
        yield f"no port {sorted(wanted - ports(found))}"


SOUND = [
    {"kind": "ServiceAccount", "metadata": {"name": "a"}},
    {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"bindery.toml": "shutdown_delay_seconds = 5"}},
    {"kind": "Service", "metadata": {"name": "a"}, "spec": {"selector": {"app": "a"}, "ports": [{"port": 1, "targetPort": "p"}]}},
    {"kind": "NetworkPolicy", "metadata": {"name": "a"}, "spec": {
        "podSelector": {"matchLabels": {"app": "a"}}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"ports": [{"port": "p"}]}]}},
    {"kind": "PodDisruptionBudget", "metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"app": "a"}}, "maxUnavailable": 1}},
    {"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": {
        "metadata": {"labels": {"app": "a"}},
        "spec": {
            "serviceAccountName": "a", "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 30,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "v", "configMap": {"name": "a"}}],
            "containers": [{
                "name": "bindery", "image": "bindery:1", "ports": [{"name": "p", "containerPort": 1}],
                "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
                "resources": {"requests": {"cpu": 1, "memory": 1}, "limits": {"memory": 1}},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                **{probe: {"grpc": {"port": 1}} for probe in ("startupProbe", "readinessProbe", "livenessProbe")},
            }],
        }}}},
]  # fmt: skip

POD = (5, "spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)
# Where a sound set of objects is broken, how, and what has to be said then. `...` takes away.
BROKEN = [
    ((*POD, "hostNetwork"), True, "hostNetwork"),
    ((*POD, "hostPID"), True, "hostPID"),
    ((*POD, "hostIPC"), True, "hostIPC"),
    ((*POD, "automountServiceAccountToken"), ..., "automount"),
    ((*POD, "serviceAccountName"), "b", "no ServiceAccount"),
    ((*POD, "terminationGracePeriodSeconds"), 19, "takes 15 seconds"),
    ((*POD, "volumes", 0), {"name": "v", "hostPath": {"path": "/"}}, "not allowed"),
    ((*POD, "volumes", 0, "configMap", "name"), "b", "no ConfigMap"),
    ((*POD, "volumes", 0, "name"), "w", "no volume"),
    ((*POD, "securityContext", "runAsNonRoot"), False, "runAsNonRoot"),
    ((*POD, "securityContext", "runAsUser"), 0, "runAsUser is 0"),
    ((*POD, "securityContext", "runAsUser"), ..., "no runAsUser"),
    ((*POD, "securityContext", "seccompProfile"), {"type": "Unconfined"}, "seccomp"),
    ((*POD, "securityContext", "sysctls"), [{"name": "a", "value": "1"}], "sysctls"),
    ((*CONTAINER, "securityContext", "runAsNonRoot"), False, "runAsNonRoot"),
    ((*CONTAINER, "securityContext", "runAsUser"), 0, "runAsUser is 0"),
    ((*CONTAINER, "securityContext", "privileged"), True, "privileged"),
    ((*CONTAINER, "securityContext", "allowPrivilegeEscalation"), ..., "allowPrivilegeEscalation"),
    ((*CONTAINER, "securityContext", "readOnlyRootFilesystem"), ..., "readOnlyRootFilesystem"),
    ((*CONTAINER, "securityContext", "capabilities"), {"drop": ["NET_RAW"]}, "not dropped"),
    ((*CONTAINER, "securityContext", "capabilities", "add"), ["NET_ADMIN"], "are added"),
    ((*CONTAINER, "securityContext", "procMount"), "Unmasked", "procMount"),
    ((*CONTAINER, "securityContext", "appArmorProfile"), {"type": "Unconfined"}, "AppArmor"),
    ((*CONTAINER, "ports", 0, "hostPort"), 1, "hostPort"),
    ((*CONTAINER, "ports", 0, "name"), "q", "no port"),
    ((*CONTAINER, "resources"), ..., "resources"),
    ((*CONTAINER, "image"), "bindery", "no version"),
    ((*CONTAINER, "image"), "registry:5000/bindery:latest", "no version"),
    ((*CONTAINER, "livenessProbe"), ..., "no livenessProbe"),
    ((*CONTAINER, "readinessProbe", "grpc", "port"), 2, "no port 2"),
    ((*POD, "initContainers"), [{"name": "x", "image": "x:1"}], "no native sidecar"),
    ((*POD, "initContainers"), [{"name": "envoy", "image": "x:1"}], "before Envoy"),
    ((5, "spec", "selector", "matchLabels", "app"), "b", "its own pods"),
    ((2, "spec", "selector", "app"), "b", "chooses no pod"),
    ((2, "spec", "ports", 0, "targetPort"), "q", "no port"),
    ((3, "spec", "policyTypes"), ["Ingress"], "both directions"),
    ((4, "spec", "maxUnavailable"), 0, "no node"),
    ((1, "data"), {}, "0 settings files"),
]  # fmt: skip


def read_sound(text):
    name, _, value = text.partition(" = ")
    return {name: int(value)}


def prove():
    """That nothing is said of a sound set, and the right thing of each broken one."""
    said = problems(SOUND, read_sound)
    if said:
        raise SystemExit(f"a sound set of objects is refused: {said}")
    for path, value, expected in BROKEN:
        objects = copy.deepcopy(SOUND)
        *way, last = path
        place = objects
        for step in way:
            place = place[step]
        if value is ...:
            del place[last]
        else:
            place[last] = value
        said = problems(objects, read_sound)
        if not any(expected in line for line in said):
            raise SystemExit(f"{path} as {value} is not found; what is: {said}")
