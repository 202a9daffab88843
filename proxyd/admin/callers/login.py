"""``/session``: logging in with a token, who one is, and logging out; for the dashboard and other pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from proxyd.admin.answers import Refusal, answer
from proxyd.admin.callers.access import ADDRESS, ROLES, SESSION, SESSION_PATH, Access, author_of
from proxyd.admin.callers.browsers import REQUEST_ID, Page, page_of
from proxyd.admin.openapi.described import described
from proxyd.apps.caller import CALLER, NOBODY
from proxyd.apps.roles import public
from proxyd.database.entries import Author
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from proxyd.admin.audit.auditor import Auditor
    from proxyd.admin.callers.sessions import Session
    from proxyd.telemetry.admin_families import AdminCounts

MAX_SIZE: Final = 4096  # bytes of a login: it may be sent by anybody

_WHO: Final = {
    "type": "object",
    "required": ["name", "role", "csrf", "expires_at", "login_required"],
    "properties": {
        "name": {"type": ["string", "null"]},
        "role": {"enum": [*ROLES, None]},
        "csrf": {"type": ["string", "null"]},
        "expires_at": {"type": ["integer", "null"]},
        "login_required": {"type": "boolean"},
    },
}
_TOKEN: Final = {"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}}

log = get_logger("admin")


class Login:
    """Handlers of ``/session``."""

    def __init__(self, access: Access, counts: AdminCounts, auditor: Auditor) -> None:
        self._access = access
        self._counts = counts
        self._auditor = auditor

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get(SESSION_PATH, self._get)
        app.router.add_post(SESSION_PATH, self._post)
        app.router.add_delete(SESSION_PATH, self._delete)

    @public
    @described("Tell who asks.", answers={200: _WHO})
    async def _get(self, request: web.Request) -> web.StreamResponse:
        """Nobody has no role, and is asked for a token where ``login_required``."""
        caller = request.get(CALLER, NOBODY)
        role = caller.groups[-1] if caller.groups else None
        return answer(self._told(caller.username, role, request.get(SESSION)))

    @public
    @described("Log in with a token.", answers={200: _WHO}, body=_TOKEN, refusals=(401, 403, 413, 429))
    async def _post(self, request: web.Request) -> web.StreamResponse:
        """The id is a new one, whatever the browser had before."""
        if page_of(request, self._access.origins) is Page.OTHER:
            raise Refusal(403, {"message": "A login is sent by the gateway's own page"})
        secret = await _secret_of(request)
        if not self._access.needs_login:
            return await self._get(request)
        token = self._access.check(secret, request)
        if token is None:
            raise Refusal(401, {"message": "There is no such token"})
        name = self._access.cookie_name(request)
        if (before := request.cookies.get(name)) is not None:
            self._access.sessions.end(before, request.transport)
        identity, session = self._access.sessions.begin(token)
        self._counts.logins["success"] += 1
        log.notice("logged in", name=token.name, role=token.role)
        who = Author(token.name, token.role, request[ADDRESS], request[REQUEST_ID])
        self._auditor.note(who, "login")
        told = answer(self._told(token.name, token.role, session))
        self._put_cookie(told, name, identity)
        return told

    @public
    @described("Log out.", answers={204: None}, refusals=(403,))
    async def _delete(self, request: web.Request) -> web.StreamResponse:
        """Who has not logged in has nothing to do."""
        name = self._access.cookie_name(request)
        if request.get(SESSION) is not None:
            self._access.sessions.end(request.cookies[name], request.transport)
            self._auditor.note(author_of(request), "logout")
        told = web.Response(status=204)
        if name in request.cookies:
            self._put_cookie(told, name, "", max_age=0)
        return told

    def _told(self, name: str | None, role: str | None, session: Session | None) -> dict[str, Any]:
        return {
            "name": name,
            "role": role,
            "csrf": session.csrf if session is not None else None,
            "expires_at": int(self._access.sessions.expires_at(session)) if session is not None else None,
            "login_required": self._access.needs_login,
        }

    def _put_cookie(self, told: web.Response, name: str, value: str, max_age: int | None = None) -> None:
        told.set_cookie(
            name,
            value,
            path="/",
            max_age=max_age,
            httponly=True,
            samesite="Strict",
            secure=name.startswith("__Host-"),
        )


async def _secret_of(request: web.Request) -> str:
    """Return the token in a body of JSON; raises Refusal."""
    data = b""
    while chunk := await request.content.read(MAX_SIZE + 1):
        data += chunk
        if len(data) > MAX_SIZE:
            raise Refusal(413, {"message": "Payload too large"})
    try:
        values = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Refusal(400, {"message": "Cannot parse JSON body"}) from None
    token = values.get("token") if isinstance(values, dict) else None
    if not isinstance(token, str) or not token:
        raise Refusal.schema("token", "required field missing")
    return token
