"""Refusals of GraphQL requests, and how clients are told: errors of GraphQL, with a code, in the media type they accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from proxyd.exchange import Operated, Reply
from proxyd.graphql.accept import JSON, accepted
from proxyd.graphql.subscriptions.sse import COMPLETE, MEDIA_TYPE, next_event
from proxyd.http1.headers import Headers

MOST_TOLD: Final = 1_000_000  # of what is found beyond a limit
LONGEST: Final = (
    256  # characters of a message: a parser's holds a name as long as a client likes, and refusals are kept
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from proxyd.exchange import Exchange


class Refused(Exception):  # noqa: N818  # the request is at fault, nothing broke
    """A GraphQL request that is not carried.

    ``status`` is the HTTP status for clients that accept ``application/graphql-response+json``. ``well_formed`` tells of a
    request that GraphQL over HTTP calls one: those that accept ``application/json`` alone are then answered with 200.
    ``code`` goes into ``extensions.code`` of the error, beside what ``extensions`` holds.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        extensions: Mapping[str, Any] | None = None,
        *,
        well_formed: bool = True,
        errors: Iterable[Mapping[str, Any]] | None = None,
        headers: Headers | None = None,
    ) -> None:
        if len(message) > LONGEST:
            message = f"{message[:LONGEST]}..."
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.extensions = dict(extensions or {})
        self.well_formed = well_formed
        self.headers = headers
        self._errors = None if errors is None else list(errors)

    def again(self) -> Refused:
        """Return a refusal like this one.

        Whoever keeps one raises its likes: what is raised holds on to where it was, and with that to a whole request.
        """
        return Refused(
            self.status,
            self.code,
            self.message,
            self.extensions,
            well_formed=self.well_formed,
            errors=self._errors,
            headers=self.headers,
        )

    @property
    def errors(self) -> list[Mapping[str, Any]]:
        """The errors as a response lists them."""
        if self._errors is not None:
            return self._errors
        return [{"message": self.message, "extensions": {"code": self.code, **self.extensions}}]


def beyond(name: str, maximum: int, found: int, *, status: int = 400) -> Refused:
    """Return the refusal of what is beyond a limit."""
    what = name.replace("_", " ")
    extensions = {"limit": name, "maximum": maximum, "found": min(found, MOST_TOLD)}
    message = f"The request is beyond the limit of {what}"
    return Refused(
        status, "LIMIT_EXCEEDED", message, extensions, well_formed=name not in {"body_size", "batch"}
    )


def refuse(exchange: Exchange, refused: Refused) -> Reply:
    """Return the answer to a request that is refused whole."""
    return _reply(exchange, refused, {"errors": refused.errors})


def refuse_batch(exchange: Exchange, refusals: Sequence[Refused | None]) -> Reply:
    """Return the answer to a batch of which some are refused: none of them is carried, and each is told why."""
    first = next(one for one in refusals if one is not None)
    others = Refused(400, "BATCH_REFUSED", "Another operation of the batch is refused")
    return _reply(exchange, first, [{"errors": (one or others).errors} for one in refusals])


def _reply(exchange: Exchange, refused: Refused, body: Any) -> Reply:
    wants = accepted(exchange.headers.get(b"accept"))
    media = wants.media or JSON
    exchange.refusal = exchange.refusal or f"graphql: {refused.message}"
    operated = exchange.graphql
    if operated is None:
        operated = exchange.graphql = Operated(count=0)
    operated.codes = (refused.code,)
    operated.refused_by = str(refused.extensions.get("limit", ""))
    headers = refused.headers.copy() if refused.headers is not None else Headers()
    if b"cache-control" not in headers:  # a GET's 200 could be kept otherwise, and told to who may ask
        headers.set(b"Cache-Control", b"no-store")
    if wants.events and refused.well_formed and isinstance(body, dict):  # as graphql-sse has it
        headers.set(b"Content-Type", MEDIA_TYPE + b"; charset=utf-8")
        return Reply(200, body=next_event(orjson.dumps(body)) + COMPLETE, headers=headers)
    headers.set(b"Content-Type", media + b"; charset=utf-8")
    status = 200 if media == JSON and refused.well_formed else refused.status
    return Reply(status, body=orjson.dumps(body), headers=headers)
