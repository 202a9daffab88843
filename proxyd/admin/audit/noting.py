"""Writing down what a request has done, from its handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from proxyd.admin.audit.auditor import Auditor
from proxyd.admin.callers.access import author_of

if TYPE_CHECKING:
    from collections.abc import Mapping

AUDITOR: Final = web.AppKey("proxyd.admin.auditor", Auditor)


def note(
    request: web.Request,
    action: str,
    collection: str = "",
    entity: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write down that a request has done something; ``before`` and ``after`` are what is shown of it, without secrets.

    What changes in a database is written down there, and not here.
    """
    request.app[AUDITOR].note(author_of(request), action, collection, entity, before, after)
