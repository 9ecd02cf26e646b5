"""What both speech servers ask of a request before they read it: a token, and a body that is not too large."""
import hmac
import ipaddress
import os
import re
import sys

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers

MIN_TOKEN = 16  # characters


def token_from(variable: str, host: str) -> str | None:
    """The token that requests must carry: the value of a variable. None on loopback without one; elsewhere the program ends."""
    token = os.environ.get(variable, "")
    if token in ("", "none"):  # what the agents send without a key
        if is_loopback(host):
            return None
        sys.exit(f"{variable} is missing: whoever reaches {host} could use this server. Make a token with: openssl rand -hex 32")
    if len(token) < MIN_TOKEN or token != token.strip() or re.match(r"[<\"']?(change|replace|your|example|placeholder)", token, re.IGNORECASE):
        sys.exit(f"{variable} is wrong: at least {MIN_TOKEN} characters, no placeholder, no blanks around it. Make one with: openssl rand -hex 32")
    return token


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Refuses requests without the token (health checks excepted), and bodies of more than `max_body` bytes, before they are held."""

    def __init__(self, app, token: str | None, max_body: int):
        self.app, self.token, self.max_body = app, token, max_body

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        if self.token and scope["path"] != "/health" and not hmac.compare_digest(headers.get("authorization", "").encode(), f"Bearer {self.token}".encode()):
            return await JSONResponse({"detail": "a bearer token is required"}, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self.max_body:
            return await JSONResponse({"detail": self.too_large()}, 413)(scope, receive, send)
        read = 0

        async def receive_bounded():
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            # A body sent in chunks says no length.
            if read > self.max_body:
                raise HTTPException(413, self.too_large())
            return message

        await self.app(scope, receive_bounded, send)

    def too_large(self) -> str:
        return f"the request is larger than {self.max_body} bytes"
