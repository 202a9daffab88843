"""Errors of the backend, as clients are told them: those that are expected as they are, all others by a general message.

``Masker.mask`` takes and returns the bytes of one response, wherever it is: the answer to a request or a batch, a part of
``multipart/mixed``, an event, or the payload of a message on a WebSocket.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import Field

from proxyd import plugin
from proxyd.graphql.originals import Originals

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from proxyd.clock import Clock
    from proxyd.exchange import Exchange
    from proxyd.telemetry.operations import Operations
    from proxyd.telemetry.redact import Redactor

INTERNAL = "INTERNAL_SERVER_ERROR"
TRACES = ("debugMessage", "exception", "originalError", "stacktrace", "trace")

EXPECTED = (
    "BAD_REQUEST",
    "BAD_USER_INPUT",
    "FORBIDDEN",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "OPERATION_RESOLUTION_FAILURE",
    "PERSISTED_QUERY_NOT_FOUND",
    "PERSISTED_QUERY_NOT_SUPPORTED",
    "UNAUTHENTICATED",
)


class Errors(plugin.Config):
    """Which errors of the backend clients are told, and how."""

    mask: bool = False
    """Whether errors that are not expected are told by ``message`` alone; the originals are logged."""
    expected_codes: tuple[str, ...] = EXPECTED
    """What ``extensions.code`` of an error says that is expected; INTERNAL_SERVER_ERROR never is."""
    trace_extensions: tuple[str, ...] = TRACES
    """Members of ``extensions`` that tell where a backend failed: with one of them, no error is expected."""
    pass_validation: bool = False
    """Whether errors without a code are expected where they can only be of parsing or validation: places in the document, no path, no data."""
    message: str = "Unexpected error."
    """What clients are told instead, with the code INTERNAL_SERVER_ERROR and the id of the request."""
    keep_path: bool = True
    """Whether a masked error says which field it is of."""
    keep_locations: bool = True
    """Whether a masked error says which place of the document it is of."""
    hide_suggestions: bool | None = None
    """Whether "Did you mean" is cut off the messages of validation, which tell a schema bit by bit; by default as ``mask``."""
    error_extensions: plugin.Listed = None
    """Members that the ``extensions`` of an expected error keep beside ``code``; all of them by default."""
    response_extensions: plugin.Listed = None
    """Members that the ``extensions`` of a response keep; all of them by default."""
    max_size: int = Field(10_485_760, gt=0)
    """Bytes of the largest answer that is looked at; a larger one is not passed on."""

    @property
    def suggestions_hidden(self) -> bool:
        """Whether suggestions are."""
        return self.mask if self.hide_suggestions is None else self.hide_suggestions

    @property
    def looks(self) -> bool:
        """Whether answers have to be looked at."""
        return (
            self.mask
            or self.suggestions_hidden
            or self.error_extensions is not None
            or self.response_extensions is not None
        )


class Masker:
    """Masks errors in responses; one per plugin instance. ``masked`` counts those that were."""

    def __init__(
        self, config: Errors, redactor: Redactor, clock: Clock, operations: Operations | None = None
    ) -> None:
        self.looks = config.looks
        self.masks = config.mask
        self.masked = 0
        self._config = config
        self._expected = frozenset(config.expected_codes)
        self._traces = frozenset(config.trace_extensions)
        self._hides = config.suggestions_hidden
        self._kept = _kept(config.error_extensions, "code")
        self._top = _kept(config.response_extensions)
        self._originals = Originals(redactor, clock)
        self._operations = operations

    def __repr__(self) -> str:
        return (
            f"<Masker {'masking' if self.masks else 'looking' if self.looks else 'off'} masked={self.masked}>"
        )

    # --- bytes -----------------------------------------------------------------------------------------------

    def mask(self, exchange: Exchange, payload: bytes) -> bytes:
        """Return what takes the place of a response, or of a list of them; the same bytes where nothing has to change."""
        if not self.looks or self.is_plain(payload):
            return payload
        try:
            parsed = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return self.replace(exchange, "the answer is not JSON", payload)
        if isinstance(parsed, list):
            if not all(isinstance(one, dict) for one in parsed):
                return self.replace(exchange, "the answer is not GraphQL", payload)
        elif not isinstance(parsed, dict):
            return self.replace(exchange, "the answer is not GraphQL", payload)
        return self._changed(exchange, payload, parsed)

    def answer(self, exchange: Exchange, payload: bytes) -> bytes:
        """Return what takes the place of the whole answer to an operation or a batch, which has to be GraphQL's."""
        if self.masks and not self.is_fine(payload):
            try:
                parsed = orjson.loads(payload)
            except orjson.JSONDecodeError:
                return self.replace(exchange, "the answer is not JSON", payload)
            responses = parsed if isinstance(parsed, list) else [parsed]
            if not all(isinstance(one, dict) and ("data" in one or "errors" in one) for one in responses):
                return self.replace(exchange, "the answer is not GraphQL", payload)
            return self._changed(exchange, payload, parsed)
        return self.mask(exchange, payload)

    def mask_errors(self, exchange: Exchange, payload: bytes) -> bytes:
        """Return what takes the place of the payload of an ``error`` message: a list of errors, or one error alone."""
        if not self.looks:
            return payload
        try:
            errors = orjson.loads(payload)
        except orjson.JSONDecodeError:
            errors = payload.decode("utf-8", "replace")
        alone = not isinstance(errors, list)
        told = self._errors(exchange, [errors] if alone else errors, whole=True)
        return orjson.dumps(told[0] if alone else told)

    def replace(self, exchange: Exchange, why: str, original: bytes = b"") -> bytes:
        """Return a response in place of what is none, or cannot be read; ``original`` is what there is of it, for the log."""
        self._count(exchange, 1)
        self._originals.answer(exchange, why, original)
        return orjson.dumps({"errors": [self.general(exchange)]})

    def general(self, exchange: Exchange) -> dict[str, Any]:
        """Return the error that says nothing but that there was one."""
        return {
            "message": self._config.message,
            "extensions": {"code": INTERNAL, "request_id": exchange.request_id},
        }

    def _count(self, exchange: Exchange, count: int) -> None:
        self.masked += count
        if self._operations is not None:
            self._operations.mask(exchange, count)

    def is_plain(self, payload: bytes) -> bool:
        r"""Tell whether a response has surely nothing that would be changed, without parsing it.

        The members in question have no letters but those from ``a`` to ``z`` in their names. JSON (RFC 8259 section 7) writes such
        a letter either as itself or as ``\u006`` or ``\u007`` and a digit. A text in another encoding than UTF-8 begins otherwise.
        """
        if b'"errors"' in payload or payload[:2] not in _BEGINNINGS:
            return False
        if b"\\" in payload and (b"\\u006" in payload or b"\\u007" in payload):
            return False
        return self._top is None or b'"extensions"' not in payload

    def is_fine(self, payload: bytes) -> bool:
        """Tell whether a whole answer has surely nothing that would be changed, and is GraphQL's."""
        return payload.startswith(b'{"data":') and self.is_plain(payload)

    def _changed(self, exchange: Exchange, payload: bytes, parsed: Any) -> bytes:
        if not self._alter(exchange, parsed):
            return payload
        # Once more, so that numbers stay as they were written: some are longer than a float or 64 bits.
        try:
            kept = json.loads(
                payload, parse_int=_as_written, parse_float=_as_written, parse_constant=_no_number
            )
            _put(kept, parsed)
            return orjson.dumps(kept)
        except (ValueError, RecursionError, orjson.JSONEncodeError):
            return self.replace(exchange, "the answer cannot be written anew", payload)

    # --- what was parsed -------------------------------------------------------------------------------------

    def _alter(self, exchange: Exchange, response: Any) -> bool:
        """Mask a response in place, and what it wraps; returns whether anything has changed. User data is left alone."""
        if isinstance(response, list):
            return sum(self._alter(exchange, one) for one in response) > 0  # any() would leave some out
        if not isinstance(response, dict):
            return False
        changed = False
        if "errors" in response:
            errors = response["errors"]
            told = self._errors(
                exchange, errors, whole=response.get("data") is None and response.keys().isdisjoint(_PARTS)
            )
            changed = told != errors
            response["errors"] = told
        if self._top is not None and isinstance(response.get("extensions"), dict):
            extensions = response["extensions"]
            response["extensions"] = kept = _only(extensions, self._top)
            changed = changed or len(kept) != len(extensions)
        for name in WRAPPING:
            if name in response:
                changed = self._alter(exchange, response[name]) or changed
        return changed

    def _errors(self, exchange: Exchange, errors: Any, *, whole: bool) -> list[Any]:
        """Return errors as the client is told them; ``whole`` says that they are all that there is."""
        if errors is None:
            return []
        if not isinstance(errors, list):
            errors = [errors]
        hidden = []
        told = []
        for error in errors:
            if self.masks and not self._is_expected(error, whole=whole):
                hidden.append(error)
                told.append(self._masked(exchange, error))
            else:
                told.append(self._trimmed(error))
        if hidden:
            self._count(exchange, len(hidden))
            self._originals.errors(exchange, hidden)
        return told

    def _is_expected(self, error: Any, *, whole: bool) -> bool:
        if not isinstance(error, dict) or not isinstance(error.get("message"), str):
            return False
        extensions = error.get("extensions")
        if extensions is not None and not isinstance(extensions, dict):
            return False
        if extensions and not self._traces.isdisjoint(extensions):
            return False
        code = extensions.get("code") if extensions else None
        if code is None:
            return (
                self._config.pass_validation
                and whole
                and "path" not in error
                and bool(error.get("locations"))
            )
        return isinstance(code, str) and code != INTERNAL and code in self._expected

    def _masked(self, exchange: Exchange, error: Any) -> dict[str, Any]:
        told = self.general(exchange)
        if isinstance(error, dict):
            if self._config.keep_path and _is_path(error.get("path")):
                told["path"] = error["path"]
            if self._config.keep_locations and _are_locations(error.get("locations")):
                told["locations"] = error["locations"]
        return told

    def _trimmed(self, error: Any) -> Any:
        if not isinstance(error, dict):
            return error
        message = error.get("message")
        if self._hides and isinstance(message, str) and "path" not in error:
            error = {**error, "message": without_suggestion(message)}
        if self._kept is not None and isinstance(error.get("extensions"), dict):
            error = {**error, "extensions": _only(error["extensions"], self._kept)}
        return error


WRAPPING = ("payload", "incremental", "completed", "subsequent")
"""Members of a response, or of a message, that hold responses (incremental delivery, and Apollo's multipart protocol)."""

_BEGINNINGS = frozenset({b'{"', b"[{"})  # of most responses; one that begins otherwise is parsed

_PARTS = frozenset({"items", "id", "incremental", "hasNext"})  # the operation has been begun


def without_suggestion(message: str) -> str:
    """Return a message of validation without what it suggests, which every implementation writes at the end."""
    at = message.lower().find("did you mean")
    return message if at < 0 else message[:at].rstrip(" (")


def _kept(names: Iterable[str] | None, *always: str) -> Collection[str] | None:
    return None if names is None else frozenset((*names, *always))


def _only(members: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name in names}


def _is_path(path: Any) -> bool:
    return isinstance(path, list) and all(isinstance(one, (str, int)) for one in path)


def _are_locations(locations: Any) -> bool:
    return isinstance(locations, list) and all(
        isinstance(one, dict) and one.keys() <= {"line", "column"} for one in locations
    )


def _as_written(number: str) -> orjson.Fragment:
    return orjson.Fragment(number)


def _no_number(name: str) -> None:
    raise ValueError(name)


def _put(kept: Any, altered: Any) -> None:
    """Put what was altered in one reading of a response into another."""
    if isinstance(kept, list):
        for one, other in zip(kept, altered, strict=True):
            _put(one, other)
        return
    if not isinstance(kept, dict):
        return
    for name in ("errors", "extensions"):
        if name in kept:
            kept[name] = altered[name]
    for name in WRAPPING:
        if name in kept:
            _put(kept[name], altered[name])
