"""What clients were not told: errors of the backend as it wrote them, in the event log, without what may be secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from proxyd.telemetry.events import get_logger
from proxyd.telemetry.redact import REDACTED

if TYPE_CHECKING:
    from proxyd.clock import Clock
    from proxyd.exchange import Exchange
    from proxyd.telemetry.redact import Redactor

LINES = 10  # events in a second; a backend that fails with everything must not fill the disk
ERRORS = 10  # of one response
TEXT = 2048  # characters of a text
LEVELS = 6  # of lists and objects within an error
MEMBERS = 32  # of a list or an object

log = get_logger("graphql")

# A name and what is said of it: password: secret, api_key=1, {"token": "a b"}, Authorization: Bearer x.
_NAMED = re.compile(
    r"""([A-Za-z_][\w.-]{0,63}+)["']?\s{0,4}[:=]\s{0,4}("[^"]*"?|'[^']*'?|(?:(?:Bearer|Basic|Digest)\s+)?[^\s,;&"']*)""",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*|\b(?:Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_USER = re.compile(r"//[^/\s@]{1,512}@")
# What a client has given, in the words of GraphQL's own implementations: it may be of a field that is secret.
_GIVEN = re.compile(r"""(invalid value |value: ).*?(?= at "|; |$)""", re.DOTALL)


class Originals:
    """Logs them, ``LINES`` in a second; the next event tells how many were left out."""

    def __init__(self, redactor: Redactor, clock: Clock) -> None:
        self._redactor = redactor
        self._now = clock.now
        self._second = clock.now()
        self._room = LINES
        self._left_out = 0

    def __repr__(self) -> str:
        return f"<Originals left_out={self._left_out}>"

    def errors(self, exchange: Exchange, errors: list[Any]) -> None:
        """Log the errors of one response."""
        if self._may_log():
            told = [self._value(error, LEVELS) for error in errors[:ERRORS]]
            self._log(exchange, "backend errors masked", count=len(errors), errors=told)

    def answer(self, exchange: Exchange, why: str, original: bytes) -> None:
        """Log an answer that is not passed on, with its beginning."""
        if self._may_log():
            text = self.text(original[: 4 * TEXT].decode("utf-8", "replace"))
            self._log(exchange, "backend answer replaced", why=why, answer=text or None)

    def _may_log(self) -> bool:
        now = self._now()
        if now - self._second >= 1.0:
            self._second = now
            self._room = LINES
        if not self._room:
            self._left_out += 1
            return False
        self._room -= 1
        return True

    def _log(self, exchange: Exchange, event: str, **values: Any) -> None:
        left_out, self._left_out = self._left_out, 0
        if left_out:
            values["left_out"] = left_out
        route, operated, response = exchange.route, exchange.graphql, exchange.response
        log.error(
            event,
            request_id=exchange.request_id,
            route=route and (route.name or route.id),
            operation=operated and operated.name,
            upstream_status=response and response.status,
            **values,
        )

    # --- redaction -------------------------------------------------------------------------------------------

    def _value(self, value: Any, levels: int, name: str = "") -> Any:
        if isinstance(value, str):
            # An error's code is one of the few words that say what it is.
            return REDACTED if self._is_secret(name) else self.text(value)
        if self._is_secret(name):
            return REDACTED
        if isinstance(value, (dict, list)) and not levels:
            return "..."
        if isinstance(value, dict):
            members = list(value.items())[:MEMBERS]
            return {self.text(key): self._value(one, levels - 1, key) for key, one in members}
        if isinstance(value, list):
            return [self._value(one, levels - 1) for one in value[:MEMBERS]]
        return value

    def _is_secret(self, name: str) -> bool:
        return bool(name) and name != "code" and self._redactor.is_secret(name)

    def text(self, text: str) -> str:
        """Return a text, shortened, without the values of what is named like a secret, tokens and user information."""
        text = _GIVEN.sub(rf"\1{REDACTED}", text[:TEXT])
        parts, done = [], 0
        while (found := _NAMED.search(text, done)) is not None:
            start, end = found.span(2)
            secret = end > start and self._is_secret(found[1])
            # Of any other, the value may hold names in its turn.
            parts += [text[done:start], REDACTED if secret else ""]
            done = end if secret else start
        text = "".join((*parts, text[done:]))
        return _USER.sub(f"//{REDACTED}@", _TOKEN.sub(REDACTED, text))
