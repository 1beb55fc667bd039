"""What the measuring scripts of this directory share: servers, load on them, summaries, and what is known of the machine.

Servers run on the first core and the generator on the second, unless they are told to be free. Must not know: what is compared, and
what is made of it.
"""

import argparse
import hashlib
import io
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("BINDERY_PROGRAM", ROOT / "target/release/bindery"))
# Installed and generated things, which are made again when they are gone.
KEPT = ROOT / "target/bench-tools"
REQUIREMENTS = ROOT / "bench/requirements.txt"
SERVER_CORE, GENERATOR_CORE = 0, 1
# How long a server may take to be there; a million targets take their time.
PATIENCE = 600
# The longest that one load is put, in seconds, unless --seconds says more.
LONGEST = 20


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    """Nothing was measured."""
    say(text)
    sys.exit(2)


def arguments(doc, **defaults):
    """The arguments that all scripts have, with their defaults in full and with --quick."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; shows that it works, and nothing else")
    parser.add_argument("--free", action="store_true", help="servers and generator wherever the system puts them")
    parser.add_argument("--output", metavar="FILE", help="where the result goes as JSON [default: standard output]")
    for name, (full, quick) in defaults.items():
        kind = type(full)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"[default: {full}, or {quick} with --quick]")
    args = parser.parse_args()
    for name, (full, quick) in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, quick if args.quick else full)
    return args


def write(result, path):
    text = json.dumps(result, indent=1, sort_keys=True) + "\n"
    if path:
        pathlib.Path(path).write_text(text)
    else:
        print(text, end="")


# Tools


def with_tools():
    """Goes on in a Python that has what bench/requirements.txt names, installing it where it is not there."""
    venv = KEPT / "venv"
    if pathlib.Path(sys.prefix) == venv:
        return
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    mark = venv / "installed"
    if not mark.exists() or mark.read_text() != wanted:
        say("installing what bench/requirements.txt names")
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "--quiet", "--requirement", REQUIREMENTS], check=True)
        mark.write_text(wanted)
    os.execv(venv / "bin/python", [str(venv / "bin/python"), *sys.argv])


def messages():
    """The modules of bindery's own messages: decision, resource, sync. Needs `with_tools`."""
    generated = KEPT / "generated"
    sources = sorted((ROOT / "proto/bindery/v1").glob("*.proto"))
    shutil.rmtree(generated, ignore_errors=True)
    generated.mkdir(parents=True)
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", ROOT / "proto", f"--python_out={generated}", *sources]
    subprocess.run([str(part) for part in command], check=True)
    sys.path.insert(0, str(generated))
    from bindery.v1 import decision_pb2, resource_pb2, sync_pb2

    return decision_pb2, resource_pb2, sync_pb2


def delimited(all_messages):
    """Messages as `bindery bench --messages` reads them."""
    from google.protobuf import proto

    out = io.BytesIO()
    for message in all_messages:
        proto.serialize_length_prefixed(message, out)
    return out.getvalue()


# Servers


def pinned(core, command, free=False):
    command = [str(part) for part in command]
    return command if free else ["taskset", "-c", str(core), *command]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A process that serves, on the core of servers."""

    def __init__(self, name, command, log, free=False):
        self.name, self.log = name, pathlib.Path(log)
        self.started = time.monotonic()
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(pinned(SERVER_CORE, command, free), stdout=out, stderr=out)

    @property
    def pid(self):
        return self.process.pid

    def wait(self, there):
        """Waits until something is so; says how long that took since the start, in seconds."""
        while time.monotonic() - self.started < PATIENCE:
            if there():
                return time.monotonic() - self.started
            if self.process.poll() is not None:
                break
            time.sleep(0.002)
        self.stop()
        fail(f"{self.name} does not come about: {self.log.read_text()[-2000:]}")

    def resident(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bindery(Server):
    """bindery on a unix socket and on TCP, with its admin port open and so its metrics, warnings logged, no decision log, no
    tracing, no TLS."""

    def __init__(self, directory, *more, free=False):
        here = pathlib.Path(directory)
        tcp, self.admin = free_port(), free_port()
        self.addresses = {"unix": f"unix:{here / 'q.sock'}", "tcp": f"127.0.0.1:{tcp}"}
        command = [PROGRAM, "serve", "--socket", here / "q.sock", "--listen", self.addresses["tcp"], "--log-level", "warn"]
        command += ["--admin-listen", f"127.0.0.1:{self.admin}", *more]
        super().__init__("bindery", command, here / "bindery.log", free)

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=5).status == 200
        except OSError:
            return False


# Load


class Pinner(threading.Thread):
    """Moves the threads of `do-nothing`, which are the generator's own, to the core of servers."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.over = pid, threading.Event()

    def run(self):
        moved = set()
        while not self.over.wait(0.02):
            for task in pathlib.Path(f"/proc/{self.pid}/task").glob("*"):
                try:
                    if task.name not in moved and (task / "comm").read_text().strip() == "do-nothing":
                        os.sched_setaffinity(int(task.name), {SERVER_CORE})
                        moved.add(task.name)
                except OSError:
                    pass


def load(address, args, *more, pid=None, rate=None, rounds=1):
    """Puts load on a server, in a closed loop or at a rate; gives the rounds of each server."""
    # A percentile wants calls, also where few come each second.
    seconds = max(args.seconds, min(LONGEST, 1_000 / rate)) if rate and not args.quick else args.seconds
    more = [*more, *(["--rate", rate, "--in-flight", 512] if rate else [])]
    command = [PROGRAM, "bench", address, "--output", "json", "--duration", seconds, "--warm-up", min(1.0, seconds / 2)]
    command += ["--rounds", rounds, *(["--pid", pid] if pid else []), *more]
    process = subprocess.Popen(
        pinned(GENERATOR_CORE, command, args.free), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pinner = Pinner(process.pid)
    if not args.free:
        pinner.start()
    out, err = process.communicate()
    pinner.over.set()
    if not out:
        fail(f"nothing measured: {err}")
    return [server["rounds"] for server in json.loads(out)["servers"]]


def spread(values):
    values = [value for value in values if value is not None]
    if not values:
        return None
    return {"median": round(statistics.median(values), 1), "min": round(min(values), 1), "max": round(max(values), 1)}


def summary(rounds):
    """What rounds of the same load come to."""
    def at(name):
        return spread([(one["latency"] or {}).get(f"{name}_us") for one in rounds])

    def cpu(one):
        ended = one["answered_per_second"] * one["measured_seconds"]
        return one["server"]["cpu_seconds"] * 1e6 / ended if one["server"] and ended else None

    return {
        "answered_per_second": spread([one["answered_per_second"] for one in rounds]),
        "p50_us": at("p50"),
        "p99_us": at("p99"),
        "p99_9_us": at("p99_9"),
        "cpu_ms_per_1000": spread([cpu(one) for one in rounds]),
        "generator_busy": round(max(one["generator_busy"] for one in rounds), 2),
        "calls": sum(one["calls"] for one in rounds),
        "failed": sum(one["failed"] + one["shed"] + one["unanswered"] for one in rounds),
        "not_sent": sum(one["not_sent"] for one in rounds),
        "rounds": len(rounds),
    }


def latency_text(result):
    """p50 and p99, for whoever watches."""
    def told(spread):
        return f"{spread['median']:,.0f} us" if spread else "unknown"

    return f"p50 {told(result['p50_us'])}, p99 {told(result['p99_us'])}"


def in_turns(number, loads):
    """Measures each of the loads once a round; gives a summary of each."""
    done = {name: [] for name in loads}
    for _ in range(number):
        for name, one in loads.items():
            done[name] += one()[0]
    return {name: summary(rounds) for name, rounds in done.items()}


def two_digits(rate):
    """A rate as people would choose it."""
    step = 10 ** max(len(str(int(rate))) - 2, 0)
    return max(int(rate) // step * step, 1)


# The machine


def first(path, name):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    return "unknown"


def said(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


class Conditions:
    """What makes figures lie, taken before and after."""

    def __init__(self, args):
        if not PROGRAM.exists():
            fail(f"{PROGRAM} is not there; run `cargo build --release` first, or name another one with BINDERY_PROGRAM")
        if not args.free and (os.cpu_count() or 1) < 2:
            fail("there is one core, and server and generator want one each; give --free")
        if not args.free:
            # Nor may a script that waits for a server take its core.
            os.sched_setaffinity(0, {GENERATOR_CORE})
        self.before, self.start = os.getloadavg(), time.time()
        self.args = args

    def told(self, **more):
        placement = "free" if self.args.free else f"server on core {SERVER_CORE}, generator on core {GENERATOR_CORE}"
        return {
            "cores": os.cpu_count(),
            "cpu": first("/proc/cpuinfo", "model name"),
            "memory": first("/proc/meminfo", "MemTotal"),
            "kernel": platform.release(),
            "bindery": said(str(PROGRAM), "--version"),
            "commit": said("git", "describe", "--always", "--dirty"),
            "rustc": said("rustc", "--version"),
            "placement": placement,
            "quick": self.args.quick,
            "seconds_each": self.args.seconds,
            "rounds": self.args.rounds,
            "tls": False,
            "tracing": False,
            "decision_log": False,
            "metrics": True,
            "log_level": "warn",
            "load_average_before": [round(value, 2) for value in self.before],
            "load_average_after": [round(value, 2) for value in os.getloadavg()],
            "minutes": round((time.time() - self.start) / 60, 1),
            "date": time.strftime("%Y-%m-%d", time.gmtime(self.start)),
            **more,
        }
