"""Publishes a company's configuration to bindery, and every change of it, over SyncService.Push.

docs/sync.md is the specification that this follows. The messages are generated from the schema at the start, into a folder
that goes again. A publisher of your own would do so when it is built; README.md has the command.
"""

import argparse
import hashlib
import logging
import queue
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources as packages
from pathlib import Path

import grpc
import tenacity
from grpc_tools import protoc

import company

PROTO = Path(__file__).resolve().parents[2] / "proto"
# How often something is said at least, and how often the file is looked at, in seconds.
HEARTBEAT, LOOK = 10.0, 0.2
# About how large a part of a snapshot is, in bytes.
CHUNK = 256 * 1024
Resources = dict[tuple[int, str], bytes]
Version = tuple[int, int]
log = logging.getLogger("publisher")


def generate(into: str) -> None:
    """Generates the messages and the client."""
    bundled = packages.files("grpc_tools") / "_proto"
    arguments = ["protoc", f"-I{PROTO}", f"-I{bundled}", f"--python_out={into}", f"--grpc_python_out={into}"]
    if protoc.main(arguments + [f"bindery/v1/{name}.proto" for name in ("resource", "sync")]):
        sys.exit("the schema could not be compiled; see above")


def total(resources: Resources) -> bytes:
    """What resources sum up to, in whatever order."""
    hashes = (hashlib.sha256(each).digest()[:16] for each in resources.values())
    return (sum(int.from_bytes(each, "little") for each in hashes) % 2**128).to_bytes(16, "little")


@dataclass
class Publisher:
    """What is to be published, and what is known of the other side. One history for as long as it runs."""

    file: Path
    resources: Resources = field(default_factory=dict)
    # 0 is no epoch; the last revision was before the first.
    version: Version = field(default_factory=lambda: (secrets.randbits(63) | 1, 0))
    # What the server held last, as far as that is known: its version, and the resources if they came from here.
    held: Version = (0, 0)
    held_resources: Resources | None = None
    held_total: bytes = b""
    # What was refused: it is not sent again.
    refused: Version | None = None
    damaged: bool = False
    seen: str = ""

    def look(self) -> None:
        """Reads the file anew. One that cannot be read changes nothing."""
        from bindery.v1 import resource_pb2

        try:
            text = self.file.read_text()
            if text == self.seen:
                return
            self.seen = text
            resources = company.resources(self.file, resource_pb2)
        except Exception as error:
            log.error("%s cannot be used, so what was published stays: %s", self.file, error)
            return
        if resources != self.resources or self.version[1] == 0:
            self.resources, self.version = resources, (self.version[0], self.version[1] + 1)

    def is_level(self) -> bool:
        return self.version in (self.held, self.refused) or self.version[1] == 0

    def update(self) -> Iterator:
        """The messages that lead from what is held there to what is here."""
        from bindery.v1 import resource_pb2, sync_pb2

        digest = sync_pb2.Digest(total=total(self.resources))
        version = message(sync_pb2.Version, self.version)
        before = self.held_resources
        if before is None and self.held_total == digest.total:
            # The same under another version, from an earlier life of this program.
            before = self.resources
        if before is not None:
            upserts = [each for key, each in self.resources.items() if before.get(key) != each]
            gone = before.keys() - self.resources.keys()
            removals = [resource_pb2.ResourceRef(kind=kind, id=name) for kind, name in gone]
            delta = sync_pb2.Delta(
                base=message(sync_pb2.Version, self.held), version=version, upserts=upserts, removals=removals,
                digest=digest, revokes=bool(removals),
            )
            if delta.ByteSize() <= CHUNK:
                yield sync_pb2.SourceMessage(delta=delta)
                return
        count = len(self.resources)
        kind = sync_pb2.UPDATE_KIND_SNAPSHOT
        yield sync_pb2.SourceMessage(begin=sync_pb2.Begin(kind=kind, version=version, count=count))
        chunk, size = sync_pb2.Chunk(), 0
        # What is referred to may come after what refers to it: all of it counts at once.
        for each in self.resources.values():
            if size and size + len(each) > CHUNK:
                yield sync_pb2.SourceMessage(chunk=chunk)
                chunk, size = sync_pb2.Chunk(), 0
            chunk.upserts.append(each)
            size += len(each)
        yield sync_pb2.SourceMessage(chunk=chunk)
        yield sync_pb2.SourceMessage(commit=sync_pb2.Commit(count=count, digest=digest))

    def hears(self, said) -> None:
        """Takes what the server said."""
        from bindery.v1 import sync_pb2

        kind = said.WhichOneof("message")
        if kind == "ack":
            self.held, self.held_resources = pair(said.ack.version), self.resources
            self.refused, self.damaged = None, False
            log.info("in force: revision %d, %d resources", self.held[1], len(self.resources))
        elif kind == "nack":
            nack, corrupt = said.nack, said.nack.reason == sync_pb2.NACK_REASON_CORRUPT
            log.error("refused: %s", nack.message)
            for error in nack.errors:
                log.error("  %s %s: %s", error.resource.id, error.field, error.message)
            # What arrived damaged is sent once more, everything else not before there is something newer.
            if not corrupt or self.damaged:
                self.refused = pair(nack.version)
            self.damaged = corrupt
            self.held, self.held_total = pair(nack.in_force), b""
            if corrupt:
                self.held_resources = None
        elif kind == "resync":
            log.warning("asked for everything: %s", said.resync.reason)
            self.held, self.held_resources = pair(said.resync.version), None
            self.held_total = said.resync.digest.total
            if self.held == self.version:
                self.held = (0, 0)


def pair(version) -> Version:
    return version.epoch, version.revision


def message(kind, version: Version):
    return kind(epoch=version[0], revision=version[1])


def stream(publisher: Publisher, stub, take_over: bool) -> None:
    """One stream, to its end. One update is under way at a time."""
    from bindery.v1 import sync_pb2

    heard: queue.SimpleQueue = queue.SimpleQueue()
    node = sync_pb2.Node(id=f"example-publisher@{socket.gethostname()}", software="example")

    def beat() -> dict:
        digest = sync_pb2.Digest(total=total(publisher.resources))
        return {"version": message(sync_pb2.Version, publisher.version), "digest": digest}

    def messages() -> Iterator:
        publisher.look()
        known = beat() if publisher.version[1] else {}
        hello = sync_pb2.SourceHello(protocol=1, node=node, take_over=take_over, **known)
        yield sync_pb2.PushRequest(message=sync_pb2.SourceMessage(hello=hello))
        answer = heard.get()
        if answer is None:
            return
        hello = answer.hello
        publisher.held, publisher.held_total = pair(hello.version), hello.digest.total
        publisher.held_resources = publisher.resources if publisher.held == publisher.version else None
        said = time.monotonic()
        waiting = False
        while True:
            publisher.look()
            if not waiting and not publisher.is_level():
                for each in publisher.update():
                    yield sync_pb2.PushRequest(message=each)
                said, waiting = time.monotonic(), True
            if not waiting and time.monotonic() - said >= HEARTBEAT:
                now = sync_pb2.SourceHeartbeat(**(beat() if publisher.version[1] else {}))
                now.now.GetCurrentTime()
                yield sync_pb2.PushRequest(message=sync_pb2.SourceMessage(heartbeat=now))
                said = time.monotonic()
            try:
                answer = heard.get(timeout=LOOK)
            except queue.Empty:
                continue
            if answer is None:
                return
            waiting = waiting and answer.WhichOneof("message") in ("heartbeat", "hello")
            publisher.hears(answer)

    connected = False
    try:
        for response in stub.Push(messages(), wait_for_ready=True):
            connected = True
            heard.put(response.message)
    except grpc.RpcError as error:
        # Only who was never let in waits longer and longer.
        if not connected:
            raise
        log.warning("connection lost: %s", error.details())
    finally:
        heard.put(None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", default=Path(__file__).with_name("company.json"))
    parser.add_argument("--to", default="unix:/tmp/bindery-sync.sock", help="sync listener: HOST:PORT or unix:PATH")
    parser.add_argument("--take-over", action="store_true", help="take the place of another publisher")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    with tempfile.TemporaryDirectory() as generated:
        generate(generated)
        sys.path.insert(0, generated)
        from bindery.v1 import sync_pb2_grpc

        publisher = Publisher(arguments.file)
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(grpc.RpcError),
            wait=tenacity.wait_exponential_jitter(initial=0.1, max=15),
            before_sleep=lambda state: log.warning("not let in: %s", state.outcome.exception().details()),
        )
        # By default, grpcio makes an authority of a socket's path that not every server takes for one.
        with grpc.insecure_channel(arguments.to, options=[("grpc.default_authority", "localhost")]) as channel:
            while True:
                again(stream, publisher, sync_pb2_grpc.SyncServiceStub(channel), arguments.take_over)
                time.sleep(LOOK)


if __name__ == "__main__":
    main()
