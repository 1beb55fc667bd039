#!/usr/bin/env python3
"""An application to protect: answers every request with what it was told about who is asking.

    application.py            listens on 127.0.0.1:3000, or where PORT says
    application.py check      exit status 0 if one is there: for probes
"""

import os
import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ.get("PORT", "3000"))


class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = [f"{name}: {value}" for name, value in self.headers.items() if name.lower().startswith("x-authentik-")]
        body = "\n".join([f"{self.command} {self.path}", *sorted(told), ""]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        """Envoy's access log has every request."""


def main():
    if sys.argv[1:] == ["check"]:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=2).close()
        return
    # The first process of a container ends at a signal only if it says so itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("127.0.0.1", PORT), Application).serve_forever()


if __name__ == "__main__":
    main()
