#!/usr/bin/env python3
"""Holds what is in `deploy` to what reads it: `.ci/deploy` brings the tools and runs this.

Each check says what it did and how long it took; one whose tool is missing is SKIPPED, and named again at the end. What only
this file knows (the restricted standard, who refers to whom) is first shown to find what is broken on purpose.
"""

import contextlib
import copy
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
import deploy_pods as pods

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/bindery"
KUBERNETES = "1.32"
# Of operators, which no schema is at hand for.
FOREIGN_KINDS = {"PodMonitor", "PrometheusRule"}
# Told by Prometheus itself and by kube-state-metrics.
FOREIGN_METRICS = {"up", "kube_pod_container_resource_limits", "kube_pod_init_container_resource_limits"}
# Labels that come with the scrape.
SCRAPE_LABELS = {"job", "instance", "namespace", "pod", "container", "resource", "le", "__name__"}
# What the chart has of its own is the same as what it was taken from.
COPIES = {
    "envoy.yaml": "envoy/sidecar.yaml",
    "bindery.toml": "bindery/bindery.toml",
    "company.yaml": "bindery/company.yaml",
    "application.py": "application/application.py",
    "alerts.yaml": "monitoring/alerts.yaml",
    "dashboard.json": "monitoring/dashboard.json",
}
# Values that the chart refuses, and a word of why.
REFUSED = [
    (["mode=cluster"], "mode"),
    (["replicas=two"], "replicas"),
    (["replica=2"], "replica"),
    (["image.digest=latest"], "digest"),
    (["tls.enabled=true"], "secretName"),
    (["access.decision.names={a}"], "decision"),
    (["access.decisions.spiffe={cluster.local/ns/a}"], "spiffe"),
    (["configuration.follow={hub}"], "follow"),
    (["telemetry.traceRatio=2"], "traceRatio"),
    (["telemetry.otlpEndpoint=collector:4317"], "otlpEndpoint"),
    (["decisionLog.to=/tmp/log"], "decisionLog.to"),
    (["decisionLog.whenFull=wait"], "whenFull"),
    (["decisionLog.include={password}"], "include"),
    (["load.maxInFlight=0"], "maxInFlight"),
    (["settings.shutdownDelaySeconds=301"], "shutdownDelaySeconds"),
    (["settings.logFormat=xml"], "logFormat"),
    (["podDisruptionBudget.maxUnavailable=0"], "maxUnavailable"),
    (["extraSettings=listen=1"], "extraSettings"),
    (["configuration.bundle="], "0 sources"),
    (["configuration.push=true"], "2 sources"),
    (["mode=hub", "autoscaling.enabled=true"], "autoscaling.enabled"),
    (["mode=sidecar-example"], "keys.secretName"),
    (["mode=sidecar-example", "keys.secretName=k", "configuration.push=true"], "takes a bundle only"),
    (["mode=sidecar-example", "keys.secretName=k", "access.admin.tokens=a"], "listens on sockets only"),
]


class Failure(Exception):
    """What is wrong, in words."""


class Skipped(Exception):
    """What is not there."""


def need(tool):
    if not shutil.which(tool):
        if tool in os.environ.get("BINDERY_REQUIRE", "").split():
            raise Failure(f"{tool} is required here, and not installed")
        raise Skipped(f"{tool} is not installed; .ci/deploy install")
    return tool


def run(*command, given=None, fails=False, cwd=ROOT):
    done = subprocess.run(
        list(map(str, command)), input=given, capture_output=True, text=True, cwd=cwd, timeout=120, check=False
    )
    if (done.returncode != 0) != fails:
        raise Failure(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout if not fails else done.stdout + done.stderr


def yaml():
    try:
        import yaml as module
    except ImportError as error:
        raise Skipped("PyYAML is not installed; .ci/deploy install") from error
    return module


def documents(text):
    return [document for document in yaml().safe_load_all(text) if document]


def settings_of(text):
    import tomllib

    return tomllib.loads(text)


def expect(condition, what):
    if not condition:
        raise Failure(what)


# Each check: what it is called, and what it does. It says in a few words what it saw.


def yaml_files():
    rules = "{extends: default, rules: {document-start: disable, line-length: {max: 190}, comments-indentation: disable,"
    rules += " comments: {min-spaces-from-content: 1}, indentation: {indent-sequences: consistent},"
    rules += " truthy: {check-keys: false}, braces: {max-spaces-inside: 1}}}"
    need("yamllint")
    files = [path for path in sorted(DEPLOY.rglob("*.y*ml")) if CHART / "templates" not in path.parents]
    run("yamllint", "--strict", "-d", rules, *files)
    run("yamllint", "-d", rules, "-", given="a: 1\na: 2\n", fails=True)
    return f"{len(files)} files"


def rendered():
    """Everything that is for a cluster: a name, and its objects."""
    for overlay in sorted((DEPLOY / "kubernetes/overlays").iterdir()):
        yield f"kubernetes/overlays/{overlay.name}", run("kubectl", "kustomize", overlay)
    if shutil.which("helm"):
        for values in sorted((CHART / "ci").glob("*.yaml")):
            yield f"helm with {values.name}", helm("template", "release", CHART, "-f", values)


def helm(*arguments, **keywords):
    kubernetes = ["--kube-version", f"{KUBERNETES}.0"] if arguments[0] == "template" else []
    return run("helm", *arguments, *kubernetes, **keywords)


def schema(name, text, directory):
    path = directory / (re.sub(r"\W", "-", name) + ".yaml")
    path.write_text(text)
    said = run("kubernetes-validate", "--strict", "--quiet", "-k", KUBERNETES, path)
    for kind in re.findall(r"find schema for kind (\w+)", said):
        expect(kind in FOREIGN_KINDS, f"{name}: no schema for {kind} in Kubernetes {KUBERNETES}")


def manifests():
    need("kubectl")
    need("kubernetes-validate")
    pods.prove()
    seen = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, text in rendered():
            schema(name, text, folder)
            objects = documents(text)
            problems = pods.problems(objects, settings_of)
            expect(not problems, "\n".join(f"{name}: {problem}" for problem in problems))
            seen += len(objects)
        # That a mistake is found at all.
        wrong = folder / "wrong.yaml"
        wrong.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{prt: 1}]}\n")
        run("kubernetes-validate", "--strict", "--quiet", "-k", KUBERNETES, wrong, fails=True)
    return f"{seen} objects against Kubernetes {KUBERNETES}, {len(pods.BROKEN)} broken ones found"


def chart():
    need("helm")
    for values in sorted((CHART / "ci").glob("*.yaml")):
        helm("lint", "--strict", CHART, "-f", values)
    base = ["--set", "configuration.bundle=applications: []"]
    helm("template", "release", CHART, *base)
    for values, why in REFUSED:
        sets = [part for value in values for part in ("--set", value)]
        # The example brings a bundle of its own.
        said = helm("template", "release", CHART, *([] if "sidecar" in values[0] else base), *sets, fails=True)
        expect(why in said, f"--set {' '.join(values)} is refused, but not for `{why}`:\n{said}")
    for name, source in COPIES.items():
        same = (CHART / "files" / name).read_bytes() == (DEPLOY / source).read_bytes()
        expect(same, f"deploy/helm/bindery/files/{name} differs from deploy/{source}; copy it anew")
    values = yaml().safe_load((CHART / "values.yaml").read_text())
    told = (CHART / "README.md").read_text()
    for name in values:
        expect(f"`{name}" in told, f"deploy/helm/bindery/README.md does not tell of `{name}`")
    return f"{len(REFUSED)} wrong values refused, {len(COPIES)} copies are the same"


def dockerfile():
    text = (DEPLOY / "Dockerfile").read_text()
    last = text[text.rindex("\nFROM ") :]
    for part in ("\nFROM scratch\n", "\nUSER 65532:65532\n", 'ENTRYPOINT ["/usr/bin/bindery"]', 'CMD ["serve"]'):
        expect(part in last, f"deploy/Dockerfile: its last stage has no `{part.strip()}`")
    expect("\nRUN" not in last and "ca-certificates.crt" in text, "deploy/Dockerfile: more or less than what is needed")
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for name in line.split():
            expect((ROOT / name).exists(), f"deploy/Dockerfile copies `{name}`, which is not there")
            expect(name in admitted, f".dockerignore keeps out `{name}`, which deploy/Dockerfile copies")
    need("hadolint")
    run("hadolint", DEPLOY / "Dockerfile")
    return "hadolint, and what the last stage has"


def compose():
    text = (DEPLOY / "compose.yaml").read_text()
    tree = yaml().safe_load(text)
    for name, service in tree["services"].items():
        for key, value in (("read_only", True), ("cap_drop", ["ALL"])):
            expect(service.get(key) == value, f"deploy/compose.yaml: {name}: {key} is not {value}")
        expect(not str(service.get("user", "0")).startswith("0"), f"deploy/compose.yaml: {name} is root")
        expect("healthcheck" in service or service.get("profiles"), f"deploy/compose.yaml: {name} has no health check")
        for other in service.get("depends_on", {}):
            expect(other in tree["services"], f"deploy/compose.yaml: {name} depends on `{other}`, which is not there")
        for network in service.get("networks", []):
            expect(network in tree["networks"], f"deploy/compose.yaml: {name}: no network `{network}`")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            there = (DEPLOY / source).exists() if source.startswith(".") else source in tree["volumes"]
            expect(there or source == "./compose/jwks.json", f"deploy/compose.yaml: {name}: no `{source}`")
    try:
        from compose_spec import PyCompose
    except ImportError as error:
        raise Skipped("compose-spec is not installed; .ci/deploy install") from error

    def read(tree):
        try:
            PyCompose.from_json(json.dumps(tree))
        except ValueError as error:
            raise Failure(f"deploy/compose.yaml: {error}") from error

    read(tree)
    wrong = copy.deepcopy(tree)
    wrong["services"]["envoy"]["cap_drp"] = []
    with contextlib.suppress(Failure):
        read(wrong)
        raise SystemExit("a misspelt key of a compose file is not found")
    return f"{len(tree['services'])} services, read as the specification has it"


def service():
    text = (DEPLOY / "systemd/bindery.service").read_text()
    for line in ("DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "MemoryDenyWriteExecute=yes",
                 "KillSignal=SIGTERM", "RuntimeDirectory=bindery", "StateDirectory=bindery"):  # fmt: skip
        expect(f"\n{line}\n" in text, f"deploy/systemd/bindery.service has no `{line}`")
    ends = settings_of((DEPLOY / "bindery/bindery.toml").read_text())
    stop = int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[1])
    wait = ends.get("shutdown_delay_seconds", 0) + ends.get("drain_seconds", 10)
    expect(stop > wait, f"deploy/systemd/bindery.service: TimeoutStopSec={stop} does not cover {wait} seconds")
    need("systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        # It wants the program to be there.
        unit = pathlib.Path(folder) / "bindery.service"
        unit.write_text(text.replace("/usr/local/bin/bindery", "/bin/true"))
        run("systemd-analyze", "verify", "--man=no", unit)
        unit.write_text(text.replace("/usr/local/bin/bindery", "/bin/true").replace("Restart=", "Rstart="))
        said = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
        expect("Rstart" in said.stderr, "a misspelt setting of a unit is not found")
        unit.write_text(text)
        said = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", unit)
    return said.strip().splitlines()[-1].lstrip("→ ").encode("ascii", "ignore").decode().strip()


def metrics():
    """The metrics that there are, with their labels."""
    known = {}
    for line in (DEPLOY / "monitoring/metrics.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        name, kind, *labels = line.split()
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            known[name + suffix] = set(labels)
    return known


def names_in(expression, known):
    """Fails if an expression names a metric or, in a matcher, a label that there is not."""
    for name in re.findall(r"\b(?:bindery|process|kube|container)_\w+", expression):
        expect(name in known or name in FOREIGN_METRICS, f"`{name}` is no metric: {expression}")
    for name, matchers in re.findall(r"([a-z_]+)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            expect(label in SCRAPE_LABELS | known.get(name, set()), f"`{name}` has no label `{label}`: {expression}")


def alerts():
    text = (DEPLOY / "monitoring/alerts.yaml").read_text()
    tests = (DEPLOY / "monitoring/alerts_test.yaml").read_text()
    anchors = set(re.findall(r"^#+ (.+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE))
    known = metrics()
    rules = [rule for group in yaml().safe_load(text)["groups"] for rule in group["rules"]]
    for rule in rules:
        name = rule["alert"]
        names_in(rule["expr"], known)
        expect(rule["labels"]["severity"] in ("warning", "critical"), f"{name}: no severity")
        expect({"summary", "description", "runbook_url"} <= set(rule["annotations"]), f"{name}: an annotation is missing")
        expect(rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}", f"{name}: its runbook_url is wrong")
        expect(name in anchors, f"docs/operations.md has no section `{name}`")
        expect(f'alertname="{name}"' in tests, f"deploy/monitoring/alerts_test.yaml has no test of {name}")
    need("promtool")
    monitoring = DEPLOY / "monitoring"
    run("promtool", "check", "rules", monitoring / "alerts.yaml")
    run("promtool", "test", "rules", "alerts_test.yaml", cwd=monitoring)
    run("promtool", "check", "config", monitoring / "prometheus.yml")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        # Debian's Prometheus looks for nothing in Kubernetes; all the rest is read.
        cluster = (monitoring / "prometheus-kubernetes.yml").read_text()
        search = "kubernetes_sd_configs:\n  - role: pod\n"
        expect(search in cluster, "prometheus-kubernetes.yml looks for something else than pods")
        (folder / "prometheus.yml").write_text(cluster.replace(search, 'static_configs: [{targets: ["a:1"]}]\n'))
        shutil.copy(monitoring / "alerts.yaml", folder)
        run("promtool", "check", "config", folder / "prometheus.yml")
        for which in range(len(rules)):
            without(which, text, folder)
    return f"{len(rules)} rules, and the tests fail without each of them"


def without(which, text, folder):
    """The tests of one alert fail when it is never true."""
    tree = yaml().safe_load(text)
    rule = [rule for group in tree["groups"] for rule in group["rules"]][which]
    rule["expr"] = "vector(0) > 1"
    (folder / "alerts.yaml").write_text(yaml().safe_dump(tree))
    tests = yaml().safe_load((DEPLOY / "monitoring/alerts_test.yaml").read_text())
    tests["tests"] = [test for test in tests["tests"] if f'alertname="{rule["alert"]}"' in str(test)]
    (folder / "alerts_test.yaml").write_text(yaml().safe_dump(tests))
    run("promtool", "test", "rules", "alerts_test.yaml", cwd=folder, fails=True)


def dashboard():
    tree = json.loads((DEPLOY / "monitoring/dashboard.json").read_text())
    known, used, expressions, taken = metrics(), set(), [], {}
    variables = {variable["name"] for variable in tree["templating"]["list"]}
    expect({"datasource", "namespace", "pod"} <= variables, f"dashboard.json: its variables are {variables}")
    ids = [panel["id"] for panel in tree["panels"]]
    expect(len(ids) == len(set(ids)), "dashboard.json: two panels have one id")
    for panel in tree["panels"]:
        place = panel["gridPos"]
        expect(place["x"] + place["w"] <= 24, f"dashboard.json: `{panel['title']}` is too wide")
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                expect(other == panel["title"], f"dashboard.json: `{panel['title']}` lies over `{other}`")
        for target in panel.get("targets", []):
            expect(target["datasource"]["uid"] == "${datasource}", f"dashboard.json: `{panel['title']}` has its own source")
            expression = target["expr"]
            names_in(expression, known)
            used |= set(re.findall(r"\b(?:bindery|process)_\w+", expression))
            for variable in ("namespace", "pod"):
                expect(
                    f'{variable}=~"${variable}"' in expression, f"dashboard.json: `{panel['title']}` is for every {variable}"
                )
            expressions.append(expression)
    # Nothing is told that nobody looks at.
    unseen = {re.sub("_(bucket|sum|count)$", "", name) for name in known} - {
        re.sub("_(bucket|sum|count)$", "", name) for name in used
    }
    expect(not unseen, f"dashboard.json shows nothing of {sorted(unseen)}")
    need("promtool")
    filled = [re.sub(r"\$(namespace|pod)", ".*", expression).replace("$__rate_interval", "5m") for expression in expressions]
    rules = [{"record": f"panel:{index}", "expr": expression} for index, expression in enumerate(filled)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
        file.flush()
        run("promtool", "check", "rules", file.name)
    return f"{len(tree['panels'])} panels, {len(expressions)} expressions"


def envoy():
    def tree(name):
        return yaml().safe_load((DEPLOY / "envoy" / name).read_text())

    sidecar, static = tree("sidecar.yaml"), tree("static.yaml")
    resources = sidecar["static_resources"]
    expect(resources["listeners"].pop()["name"] == "probes", "sidecar.yaml: its last listener is not the one for probes")
    expect(resources["clusters"].pop()["name"] == "admin", "sidecar.yaml: its last cluster is not the admin interface")
    address = resources["listeners"][0]["address"]["socket_address"]
    expect(address["address"] == "0.0.0.0", "sidecar.yaml listens for nobody else")
    address["address"] = "127.0.0.1"
    expect(sidecar == static, "deploy/envoy/sidecar.yaml is no longer static.yaml with probes")
    program = os.environ.get("BINDERY_ENVOY")
    if not program:
        raise Skipped("BINDERY_ENVOY is not set; .ci/gateways install")
    for name in ("static.yaml", "open.yaml", "sidecar.yaml"):
        run(program, "--mode", "validate", "-l", "error", "-c", DEPLOY / "envoy" / name)
    return "Envoy takes its files, and sidecar.yaml is static.yaml with probes"


def links():
    count = 0
    for path in [DEPLOY / "README.md", ROOT / "docs/operations.md", CHART / "README.md"]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
            if "://" not in target:
                expect((path.parent / target).exists(), f"{path.relative_to(ROOT)}: no `{target}`")
                count += 1
    for name in sorted(path.name for path in DEPLOY.iterdir()):
        expect(name in (DEPLOY / "README.md").read_text(), f"deploy/README.md does not tell of `{name}`")
    return f"{count} links"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def bindery():
    """Starts bindery on every settings file, with other directories and ports, and waits until it is alive."""
    program = os.environ.get("BINDERY_BINARY")
    if not program:
        raise Skipped("BINDERY_BINARY is not set")
    need("openssl")
    files = {"bindery/bindery.toml": (DEPLOY / "bindery/bindery.toml").read_text()}
    for path in sorted((DEPLOY / "kubernetes/overlays").glob("*/bindery.toml")):
        files[str(path.relative_to(DEPLOY))] = path.read_text()
    if shutil.which("helm"):
        for values in sorted((CHART / "ci").glob("*.yaml")):
            for one in documents(helm("template", "release", CHART, "-f", values)):
                if one["kind"] == "ConfigMap" and "bindery.toml" in one["data"]:
                    files[f"the chart with {values.name}"] = one["data"]["bindery.toml"]
    for name, text in files.items():
        with tempfile.TemporaryDirectory() as folder:
            start(program, name, text, pathlib.Path(folder))
    return f"{len(files)} settings files"


def start(program, name, text, folder):
    for part in ("etc/tls", "etc-bundle", "etc-tokens", "run", "var"):
        (folder / part).mkdir(parents=True)
    run(sys.executable, DEPLOY / "application/tokens.py", "keys", folder / "etc")
    for place in ("etc", "etc-bundle"):
        shutil.copy(DEPLOY / "bindery/company.yaml", folder / place)
    (folder / "etc-tokens/authzen").write_text("a-token-to-try-with-0123456789abcdef\n")
    (folder / "etc-tokens/admin").write_text("another-to-try-with-0123456789abcdef\n")
    subject = ["-subj", "/CN=bindery", "-addext", "subjectAltName=DNS:bindery"]
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", *subject,
        "-keyout", folder / "etc/tls/tls.key", "-out", folder / "etc/tls/tls.crt")  # fmt: skip
    shutil.copy(folder / "etc/tls/tls.crt", folder / "etc/tls/ca.crt")
    for old, new in (("/etc/bindery-bundle", "etc-bundle"), ("/etc/bindery-tokens", "etc-tokens"), ("/etc/bindery", "etc"),
                     ("/run/bindery", "run"), ("/var/lib/bindery", "var")):  # fmt: skip
        text = text.replace(old, str(folder / new))
    text = re.sub(r'"0\.0\.0\.0:\d+"', lambda _: f'"0.0.0.0:{free_port()}"', text)
    settings = folder / "bindery.toml"
    settings.write_text(text)
    parsed = settings_of(text)
    # Beside an application, the pod says so (BINDERY_ADMIN_LISTEN).
    admin = parsed.get("admin_listen") or f"0.0.0.0:{free_port()}"
    environment = os.environ | ({} if "admin_listen" in parsed else {"BINDERY_ALLOW_REMOTE": "true"})
    role = "hub" if "sync_listen" in parsed.get("sync", {}) and "listen" not in parsed else "serve"
    log = folder / "log"
    with open(log, "w") as written:
        process = subprocess.Popen(
            [program, role, "--config", str(settings), "--admin-listen", admin],
            stdout=written,
            stderr=written,
            env=environment,
        )
    try:
        for _ in range(300):
            if process.poll() is not None:
                raise Failure(f"{name}: bindery does not start:\n{log.read_text()}")
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://{admin.replace('0.0.0.0', '127.0.0.1')}/livez", timeout=2),
            ):
                return
            time.sleep(0.1)
        raise Failure(f"{name}: bindery is not alive after 30 seconds:\n{log.read_text()}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


CHECKS = [
    ("YAML", yaml_files),
    ("Dockerfile", dockerfile),
    ("manifests", manifests),
    ("chart", chart),
    ("compose file", compose),
    ("service", service),
    ("alerts", alerts),
    ("dashboard", dashboard),
    ("Envoy", envoy),
    ("settings", bindery),
    ("links", links),
]


def main():
    began, failed, skipped = time.monotonic(), [], []
    for name, check in CHECKS:
        start_of_check = time.monotonic()
        try:
            said = check()
        except Failure as failure:
            failed.append(name)
            said = f"FAILED\n{failure}"
        except Skipped as why:
            skipped.append(name)
            said = f"SKIPPED (in part): {why}"
        print(f"==> {name}: {said} ({time.monotonic() - start_of_check:.1f} s)", flush=True)
    print(f"\n==> deploy: {len(CHECKS) - len(failed) - len(skipped)} checks passed, {len(failed)} failed", end="")
    print(f", SKIPPED: {', '.join(skipped)}" if skipped else "", end="")
    print(f", in {time.monotonic() - began:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
