"""Offers the policies of policies.py to bindery, over gRPC.

The messages are generated from the schema at the start, into a folder that goes again. A server of your own would do so
when it is built; README.md has the command.
"""

import argparse
import logging
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timezone
from importlib import resources
from pathlib import Path

import grpc
from grpc_tools import protoc

from policies import POLICIES

PROTO = Path(__file__).resolve().parents[2] / "proto"
# How many questions are worked on at a time. bindery asks at most 128 at once.
THREADS = 16
log = logging.getLogger("policies")


def generate(into: str) -> None:
    """Generates the messages and the service."""
    bundled = resources.files("grpc_tools") / "_proto"
    names = ["decision", "resource", "evaluator"]
    failed = protoc.main(
        ["protoc", f"-I{PROTO}", f"-I{bundled}", f"--python_out={into}", f"--grpc_python_out={into}"]
        + [f"bindery/v1/{name}.proto" for name in names]
    )
    if failed:
        sys.exit("the schema could not be compiled; see above")


def service():
    """The service. Its base class is there only once it has been generated."""
    from bindery.v1 import evaluator_pb2, evaluator_pb2_grpc

    class Evaluator(evaluator_pb2_grpc.PolicyEvaluatorServicer):
        def Evaluate(self, request, context):
            policy = POLICIES.get(request.policy)
            if policy is None:
                known = ", ".join(sorted(POLICIES))
                context.abort(grpc.StatusCode.NOT_FOUND, f"there are {known}")
            try:
                answer = policy(request)
            except Exception as error:
                # The text reaches people through the answer, the trace does not.
                log.exception("policy %s failed", request.policy)
                return evaluator_pb2.EvaluatePolicyResponse(error=str(error)[:1000])
            response = evaluator_pb2.EvaluatePolicyResponse(passing=answer.passing, messages=answer.messages)
            if answer.valid_until is not None:
                response.valid_until.FromDatetime(answer.valid_until.astimezone(timezone.utc))
            return response

    return evaluator_pb2_grpc.add_PolicyEvaluatorServicer_to_server, Evaluator()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="unix:/tmp/bindery-policies.sock", help="unix:/path or host:port")
    listen = parser.parse_args().listen
    logging.basicConfig(level=logging.INFO)
    with tempfile.TemporaryDirectory() as generated:
        generate(generated)
        sys.path.insert(0, generated)
        add, evaluator = service()
        server = grpc.server(ThreadPoolExecutor(THREADS))
        add(evaluator, server)
        server.add_insecure_port(listen)
        server.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop(grace=5))
        log.info("listening on %s with %s", listen, ", ".join(sorted(POLICIES)))
        server.wait_for_termination()


if __name__ == "__main__":
    main()
