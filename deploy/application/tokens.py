#!/usr/bin/env python3
"""Keys and tokens to try the examples with, in the place of an identity provider. Needs openssl. Not for production.

    tokens.py keys DIR          makes DIR/key.pem, and DIR/jwks.json for /etc/bindery/jwks.json, if they are not there
    tokens.py token DIR USER    prints a token for USER, good for an hour
"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import time

ISSUER = "https://auth.example.com/application/o/gateway/"
AUDIENCE = "gateway"


def openssl(*arguments, given=None):
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True).stdout


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def keys(directory):
    directory.mkdir(parents=True, exist_ok=True)
    key, public = directory / "key.pem", directory / "jwks.json"
    if not key.exists():
        pem = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    modulus = bytes.fromhex(openssl("rsa", "-in", str(key), "-noout", "-modulus").decode().strip().partition("=")[2])
    jwk = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "example", "n": text(modulus), "e": "AQAB"}
    public.write_text(json.dumps({"keys": [jwk]}, indent=2) + "\n")


def token(directory, user):
    now = int(time.time())
    header = {"alg": "RS256", "kid": "example", "typ": "JWT"}
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "preferred_username": user, "iat": now, "exp": now + 3600}
    signed = ".".join(text(json.dumps(part).encode()) for part in (header, claims))
    return signed + "." + text(openssl("dgst", "-sha256", "-sign", str(directory / "key.pem"), given=signed.encode()))


def main():
    match sys.argv[1:]:
        case ["keys", directory]:
            keys(pathlib.Path(directory))
        case ["token", directory, user]:
            print(token(pathlib.Path(directory), user))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
