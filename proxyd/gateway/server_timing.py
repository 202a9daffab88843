"""``Server-Timing`` on answers (W3C Server Timing, section 3): where the time went that is over when the head goes out.

Lines of the backend's stay where they are: a client reads all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.telemetry.spent import by_plugin
from proxyd.telemetry.timing import connect_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from proxyd.exchange import Exchange


class ServerTiming:
    """Writes the line; ``clients`` holds the addresses that are told, None for all."""

    __slots__ = ("_clients", "_now")

    def __init__(self, now: Callable[[], float], clients: Container[str] | None = None) -> None:
        self._now = now
        self._clients = clients

    def __repr__(self) -> str:
        return f"<ServerTiming for {'all' if self._clients is None else self._clients}>"

    def line(self, exchange: Exchange) -> bytes:
        """Return the header line, or nothing for a client that is not told.

        ``gateway`` and ``upstream`` are what ``telemetry.timing`` says, up to now, less what has a name of its own;
        ``plugins`` is a part of ``gateway``.
        """
        if self._clients is not None and exchange.client_ip not in self._clients:
            return b""
        now = self._now()
        asked = exchange.dialled or exchange.sent
        upstream = (exchange.response_ended or exchange.response_started or now) - asked if asked else 0.0
        connect = connect_seconds(exchange) if exchange.connected else 0.0
        waited = exchange.body_waited
        parts = [("gateway", now - exchange.started - upstream - waited)]
        spent = by_plugin(exchange, now)
        if spent:
            parts.append(("plugins", sum(spent.values()) - waited))
        for name, seconds in (("body", waited), ("connect", connect)):
            if seconds:
                parts.append((name, seconds))
        if asked:
            parts.append(("upstream", upstream - connect))
        told = ", ".join(f"{name};dur={max(seconds, 0.0) * 1000:.2f}" for name, seconds in parts)
        return b"Server-Timing: %b\r\n" % told.encode()
