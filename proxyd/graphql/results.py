"""Results that come one after another over streams of events: masked and counted one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.graphql.answers import codes_in, codes_of

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.graphql.errors import Masker
    from proxyd.telemetry.operations import Operations

MOST = 100  # codes of one exchange


class Results:
    """What happens with each operation: ``begun``, then ``next`` for each result, then ``ended``, always.

    ``failed`` takes the errors that an operation ends with; ``ended`` follows. The operation itself is counted with its
    exchange.
    """

    def __init__(self, masker: Masker, operations: Operations) -> None:
        self._mask = masker.mask if masker.looks else None
        self._masker = masker
        self._operations = operations

    def __repr__(self) -> str:
        return f"<Results {self._masker!r}>"

    def begun(self, exchange: Exchange, operation: Operation) -> None:
        """Count a subscription that goes to the source."""
        if operation.type == "subscription":
            self._operations.begin(exchange)

    def next(self, exchange: Exchange, operation: Operation, payload: bytes) -> bytes:
        """Return a result as the client gets it."""
        if operation.type == "subscription":
            self._operations.message(exchange)
        if self._mask is not None:
            payload = self._mask(exchange, payload)
        if b'"errors"' in payload:
            _note(exchange, codes_of(payload))
        return payload

    def failed(self, exchange: Exchange, errors: bytes) -> bytes:
        """Return errors that there are no results for, as the client gets them."""
        told = self._masker.mask_errors(exchange, errors)
        _note(exchange, codes_in(told))
        return told

    def ended(self, exchange: Exchange, operation: Operation) -> None:
        """Count the end of an operation that has begun."""
        if operation.type == "subscription":
            self._operations.end(exchange)


def _note(exchange: Exchange, codes: tuple[str, ...]) -> None:
    if exchange.graphql is not None:
        exchange.graphql.codes = (*exchange.graphql.codes, *codes)[:MOST]
