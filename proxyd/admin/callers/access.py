"""Who uses the Admin API: bearers of tokens and who has logged in with one; without tokens, whoever is on this machine.

A page in a browser on this machine is not who is meant: without tokens, requests that come from a page elsewhere, or that
name another host than this machine (DNS rebinding), are refused.
"""

from __future__ import annotations

import hmac
import math
import secrets
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from proxyd.admin.answers import Refusal
from proxyd.admin.audit.record import LOGIN_FAILED
from proxyd.admin.callers.browsers import CSRF_HEADER, REQUEST_ID, SAFE, Page, page_of, parts_of
from proxyd.admin.callers.peers import Peers
from proxyd.admin.callers.sessions import Session, Sessions
from proxyd.admin.callers.throttle import Throttle
from proxyd.apps.caller import CALLER, NOBODY, Caller
from proxyd.database.entries import Author
from proxyd.model.listen import is_loopback
from proxyd.model.tokens import digest_of
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from proxyd.admin.audit.auditor import Auditor
    from proxyd.clock import Clock
    from proxyd.model.settings import Settings
    from proxyd.model.tokens import AdminToken
    from proxyd.telemetry.admin_families import AdminCounts

ROLES: Final = ("viewer", "operator", "admin")
HEADER: Final = "Kong-Admin-Token"  # which Kong's clients send
COOKIE: Final = "proxyd_session"
SESSION_PATH: Final = "/session"
LONGEST_PATH: Final = 200  # characters of what a wrong token was for, in the audit log

ADDRESS: Final = web.RequestKey("proxyd.admin.address", str)
SESSION: Final = web.RequestKey("proxyd.admin.session", Session)

_LOCAL: Final = Caller(consumer="local", username="local", groups=ROLES)

log = get_logger("admin")


class Access:
    """Finds out who makes a request. ``counts`` and the ``auditor`` are told how logins go."""

    def __init__(self, settings: Settings, counts: AdminCounts, auditor: Auditor, clock: Clock) -> None:
        self.origins: Final = frozenset(settings.admin_gui_url)
        self.sessions: Final = Sessions(
            clock, settings.admin_session_idle_timeout, settings.admin_session_absolute_timeout
        )
        self._tokens = settings.admin_tokens
        self._counts = counts
        self._auditor = auditor
        self._peers = Peers(settings)
        self._throttle = Throttle(clock.now)

    def __repr__(self) -> str:
        return f"<Access tokens={len(self._tokens)} {self.sessions!r}>"

    @property
    def needs_login(self) -> bool:
        """Whether there are tokens, so that nobody is let in without one."""
        return bool(self._tokens)

    def middleware(self) -> Middleware:
        """Return the middleware that says who calls, for the guard of roles behind it."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            request[REQUEST_ID] = secrets.token_hex(16)
            request[ADDRESS] = self._peers.address_of(request)
            if not self._tokens:
                self._require_local(request)
                request[CALLER] = _LOCAL
            elif secret := _secret(request):
                if (token := self.check(secret, request)) is not None:
                    request[CALLER] = _caller(token)
            elif (session := self._session(request)) is not None:
                request[SESSION] = session
                request[CALLER] = _caller(session.token)
                with self.sessions.serving(session, request.transport):
                    return await handler(request)
            return await handler(request)

        return middleware

    # --- tokens ----------------------------------------------------------------------------------------------

    def check(self, secret: str, request: web.Request) -> AdminToken | None:
        """Return the token with this secret, None for none; raises Refusal where too many wrong ones were tried."""
        address, digest = request[ADDRESS], digest_of(secret)
        if (wait := self._throttle.wait(address, digest)) > 0:
            self._counts.logins["throttled"] += 1
            raise Refusal(429, {"message": "Too many wrong tokens"}, {hdrs.RETRY_AFTER: str(math.ceil(wait))})
        found = None
        for token in self._tokens:  # all of them, however soon one fits
            if hmac.compare_digest(token.digest, digest):
                found = token
        if found is None:
            self._throttle.failed(address)
            self._counts.logins["failure"] += 1
            log.warning("wrong admin token", address=address, path=request.path, request=request[REQUEST_ID])
            nobody = Author("", "", address, request[REQUEST_ID])
            path = request.path[:LONGEST_PATH].encode("utf-8", "backslashreplace").decode()
            self._auditor.note(nobody, LOGIN_FAILED, after={"path": path})
        else:
            self._throttle.succeeded(address, digest)
        return found

    # --- logins ----------------------------------------------------------------------------------------------

    def cookie_name(self, request: web.Request) -> str:
        """Return the name of the cookie: over TLS one that no other host, path or plain connection can set."""
        return f"__Host-{COOKIE}" if self._peers.is_secure(request) else COOKIE

    def _session(self, request: web.Request) -> Session | None:
        """Return the login that a cookie tells of; raises Refusal for a write that no page of ours has sent."""
        identity = request.cookies.get(self.cookie_name(request))
        page = page_of(request, self.origins)
        if identity is None or page is Page.OTHER:
            return None
        session = self.sessions.find(identity)
        if session is None or request.method in SAFE:
            return session
        if request.path == SESSION_PATH and request.method == hdrs.METH_POST:
            return None  # a new login, which needs no other
        sent = request.headers.get(CSRF_HEADER, "")
        if page is Page.UNKNOWN or not hmac.compare_digest(
            session.csrf.encode(), sent.encode("utf-8", "surrogateescape")
        ):
            raise Refusal(
                403,
                {"message": f"A write with a cookie needs an Origin and the {CSRF_HEADER} of GET /session"},
            )
        return session

    def _require_local(self, request: web.Request) -> None:
        """Refuse what comes from a page elsewhere, or under another host's name; raises Refusal."""
        origin = request.headers.get(hdrs.ORIGIN)
        hosts = []
        if not self._peers.is_unix(request):  # over a unix socket, a host says nothing
            hosts.append(parts_of(f"//{request.headers.get(hdrs.HOST, '')}").hostname)
        if origin is not None and origin not in self.origins:
            hosts.append(parts_of(origin).hostname)
        local = all(host == "localhost" or is_loopback(host or "") for host in hosts)
        if not local or (request.method not in SAFE and page_of(request, self.origins) is Page.OTHER):
            raise Refusal(
                403,
                {
                    "message": "Without tokens, this API is for this machine alone, and for no other pages than its "
                    "own: set admin_tokens for others, admin_gui_url for pages"
                },
            )


def author_of(request: web.Request) -> Author:
    """Return who makes a request, for the audit log."""
    caller = request.get(CALLER, NOBODY)
    return Author(
        caller.username or "",
        caller.groups[-1] if caller.groups else "",
        request[ADDRESS],
        request[REQUEST_ID],
    )


def _caller(token: AdminToken) -> Caller:
    return Caller(consumer=token.name, username=token.name, groups=(token.role,))


def _secret(request: web.Request) -> str:
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get(HEADER, "")
