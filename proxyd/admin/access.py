"""Who may use the Admin API: bearers of tokens, each with a role; without tokens, whoever is on this machine.

A page in a browser on this machine is not who is meant: without tokens, requests that say where they come from, or that
name another host than this machine (DNS rebinding), are refused.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from proxyd.admin.answers import Refusal
from proxyd.apps.caller import CALLER, Caller
from proxyd.model.listen import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.typedefs import Handler, Middleware

    from proxyd.model.tokens import AdminToken

ROLES: Final = ("viewer", "operator", "admin")
HEADER: Final = "Kong-Admin-Token"  # which Kong's clients send


def callers(tokens: Iterable[AdminToken]) -> Middleware:
    """Return the middleware that finds out who calls, for the guard of roles behind it."""
    known = [
        (_digest(one.secret), Caller(username=one.role, consumer=one.role, groups=(one.role,)))
        for one in tokens
    ]
    local = Caller(consumer="local", username="local", groups=ROLES)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not known:
            _require_local(request)
            request[CALLER] = local
            return await handler(request)
        digest = _digest(_token(request))
        for wanted, caller in known:  # all of them, however soon one fits
            if hmac.compare_digest(wanted, digest):
                request[CALLER] = caller
        return await handler(request)

    return middleware


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _token(request: web.Request) -> str:
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get(HEADER, "")


def _require_local(request: web.Request) -> None:
    origin = request.headers.get(hdrs.ORIGIN)
    hosts = [urlsplit(f"//{request.headers.get(hdrs.HOST, '')}").hostname]
    if origin is not None:
        hosts.append(urlsplit(origin).hostname)
    transport = request.transport
    if transport is not None and not transport.get_extra_info("peername"):
        hosts = hosts[1:]  # over a unix socket, a host says nothing
    if not all(host == "localhost" or is_loopback(host or "") for host in hosts):
        raise Refusal(
            403,
            {"message": "Without tokens, this API is for this machine alone: set admin_tokens for others"},
        )
