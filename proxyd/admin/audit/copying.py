"""Copying to the file of the audit log what a request has changed in the database, which has written it down there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from proxyd.admin.audit.finding import record_of
from proxyd.admin.callers.browsers import REQUEST_ID, SAFE
from proxyd.database.entries import AuditQuery, DatabaseError
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler, Middleware

    from proxyd.admin.source import AdminSource
    from proxyd.database.entries import Audited, Store

SLACK: Final = 60.0  # seconds that the clocks of machines may differ
_PAGE: Final = 1000

log = get_logger("admin")


def copying(source: AdminSource, time: Callable[[], float]) -> Middleware:
    """Return the middleware that copies, once a request is done and before it is answered."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        live = source.database
        if live is None or request.method in SAFE or not source.auditor.writes:
            return await handler(request)
        begun = time()
        response = await handler(request)
        try:
            for one in reversed(await _written_by(live.store, request[REQUEST_ID], begun - SLACK)):
                source.auditor.copy(record_of(one))
        except DatabaseError as error:
            log.error("audit log not copied", request=request[REQUEST_ID], reason=str(error))  # noqa: TRY400  # no traceback
        return response

    return middleware


async def _written_by(store: Store, request: str, since: float) -> list[Audited]:
    """Return what a request has changed, the newest first; others may have changed something in between."""
    found: list[Audited] = []
    before = 0
    while page := await store.audit(AuditQuery(since=since, before=before, size=_PAGE)):
        own = [one for one in page if one.author.request_id == request]
        if found and not own:
            break
        found += own
        before = page[-1].number
        if len(page) < _PAGE:
            break
    return found
