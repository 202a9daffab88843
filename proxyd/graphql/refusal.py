"""Refusals of GraphQL requests, and how clients are told: errors of GraphQL, with a code, in the media type they accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from proxyd.exchange import Reply
from proxyd.http1.headers import Headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxyd.exchange import Exchange

JSON = b"application/json"
RESPONSE = b"application/graphql-response+json"


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
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.extensions = dict(extensions or {})
        self.well_formed = well_formed
        self.headers = headers
        self._errors = errors

    @property
    def errors(self) -> list[Mapping[str, Any]]:
        """The errors as a response lists them."""
        if self._errors is not None:
            return list(self._errors)
        return [{"message": self.message, "extensions": {"code": self.code, **self.extensions}}]


def media_type(accept: bytes | None) -> bytes:
    """Choose the media type of a response; JSON where the client says nothing, as older ones do."""
    return RESPONSE if accept is not None and RESPONSE in accept.lower() else JSON


def refuse(exchange: Exchange, refused: Refused) -> Reply:
    """Return the answer to a request that is refused whole."""
    media = media_type(exchange.headers.get(b"accept"))
    exchange.refusal = exchange.refusal or f"graphql: {refused.message}"
    if exchange.graphql is not None:
        exchange.graphql.codes = (refused.code,)
    headers = refused.headers.copy() if refused.headers is not None else Headers()
    headers.set(b"Content-Type", media + b"; charset=utf-8")
    status = 200 if media == JSON and refused.well_formed else refused.status
    return Reply(status, body=orjson.dumps({"errors": refused.errors}), headers=headers)
