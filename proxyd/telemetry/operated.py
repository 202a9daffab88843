"""What a GraphQL request asked for, as log lines, records and spans tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from proxyd.exchange import Operated
    from proxyd.telemetry.spans import Value

CODES: Final = 10  # of errors that are told; a backend writes them
TEXT: Final = 128  # characters of a name or a code


def told(operated: Operated) -> dict[str, Any]:
    """Return it for a log; every member is there, null where there is nothing to say."""
    return {
        "operation": operated.name[:TEXT] or None,
        "type": operated.type or None,
        "hash": operated.digest or None,
        "cost": operated.cost or None,
        "depth": operated.depth or None,
        "operations": operated.count,
        "known": operated.known,
        "errors": [code[:TEXT] for code in operated.codes[:CODES]],
    }


def attributes(operated: Operated) -> dict[str, Value]:
    """Return it for a span (OpenTelemetry's conventions for GraphQL servers); what the conventions have no name for is ours."""
    found: dict[str, Value] = {}
    if operated.name:
        found["graphql.operation.name"] = operated.name[:TEXT]
    if operated.type:
        found["graphql.operation.type"] = operated.type
    if operated.digest:
        found["proxyd.graphql.document.hash"] = operated.digest
    if operated.cost:
        found["proxyd.graphql.cost"] = operated.cost
    if operated.depth:
        found["proxyd.graphql.depth"] = operated.depth
    if operated.codes:
        found["proxyd.graphql.errors"] = ",".join(code[:TEXT] for code in operated.codes[:CODES])
    return found
