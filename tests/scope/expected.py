"""Writes expected.json: what CPython makes of each snippet. Run with Python 3.11, which authentik's outcomes are from."""

import contextlib
import io
import json
import re
import sys
import warnings
from pathlib import Path

assert sys.version_info[:2] == (3, 11), "run this with Python 3.11"
here = Path(__file__).parent
expected = {}
warnings.simplefilter("ignore")
for part in (here / "snippets.txt").read_text().split("\n=== ")[1:]:
    head, _, body = part.partition("\n")
    name = head.split(" | ")[0]
    assert name not in expected, name
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    scope = {}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(f"def snippet():\n{lines}", scope)
            expected[name] = repr(scope["snippet"]())
    except Exception as error:
        # Where a module lies on this machine is nobody's business.
        text = re.sub(r"\(/[^)]*\)", "(...)", str(error))
        expected[name] = f"! {type(error).__name__}: {text}"
(here / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
print(len(expected), "snippets")
