"""``proxyd status --watch``: what goes on, once per second."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import orjson

from proxyd.cli.figures import CONNECTIONS, Look, Rates, read_metrics
from proxyd.cli.output import Output, stdout
from proxyd.clock import Clock

if TYPE_CHECKING:
    from proxyd.cli.listener import StatusListener

    Table = tuple[list[list[str]], list[str]]

_REDRAW = "\x1b[H\x1b[J"  # to the first line, and nothing below


def watch(listener: StatusListener, interval: float, count: int | None, *, json: bool) -> int:
    """Show it until interrupted, or ``count`` times: redrawn on a terminal, a line each elsewhere or a document."""
    out = stdout()
    redraw = sys.stdout.isatty() and not json
    before = _look(listener)
    shown = 0
    while count is None or shown < count:
        sleep(interval)
        now = _look(listener)
        rates = Rates.between(before, now)
        before = now
        shown += 1
        if json:
            out.line(orjson.dumps(_document(now, rates)).decode())
        elif redraw:
            sys.stdout.write(_REDRAW)
            _draw(out, now, rates)
        else:
            out.line(_line(now, rates))
    return 0


def sleep(seconds: float) -> None:
    """Wait."""
    threading.Event().wait(seconds)


def _look(listener: StatusListener) -> Look:
    return Look(Clock().now(), listener.status(), read_metrics(listener))


# --- what is shown -----------------------------------------------------------------------------------------------


def _connections(look: Look) -> dict[str, int]:
    return {state: int(count) for state, count in look.figures.by(CONNECTIONS, "state").items()}


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.2f} ms"


def _line(look: Look, rates: Rates) -> str:
    connections = sum(_connections(look).values())
    memory = sum(one["rss_bytes"] or 0 for one in look.status["memory"]["workers"])
    sick = sum(one["health"] in ("UNHEALTHY", "DNS_ERROR") for one in look.status.get("upstreams", ()))
    return (
        f"requests/s={rates.requests:.1f} errors/s={rates.errors:.1f} own_p50={_milliseconds(rates.p50)} "
        f"own_p99={_milliseconds(rates.p99)} connections={connections} rss={_mebibytes(memory)} "
        f"unhealthy={sick} generation={look.status['generation']}"
    )


def _document(look: Look, rates: Rates) -> dict[str, Any]:
    return {
        "requests_per_second": round(rates.requests, 3),
        "errors_per_second": round(rates.errors, 3),
        "own_seconds": {"p50": rates.p50, "p99": rates.p99},
        "connections": _connections(look),
        "generation": look.status["generation"],
        "workers": look.status["memory"]["workers"],
        "upstreams": look.status.get("upstreams", []),
    }


def _draw(out: Output, look: Look, rates: Rates) -> None:
    status = look.status
    failing = out.style(f"{rates.errors:.1f} errors/s", *(("red", "bold") if rates.errors else ()))
    connections = ", ".join(f"{count} {state}" for state, count in sorted(_connections(look).items()))
    out.line(
        f"{out.style('proxyd', 'bold')} {status['version']}  process {status['pid']}  generation {status['generation']}"
    )
    attempt = status["last_reload"]
    if attempt is not None and not attempt["success"]:
        out.line(out.style(f"reload refused at {attempt['time']}: {attempt['errors'][0]}", "red"))
    out.line(
        f"{rates.requests:.1f} requests/s  {failing}  own time p50 {_milliseconds(rates.p50)}  p99 {_milliseconds(rates.p99)}"
    )
    out.line(f"connections: {connections or 'none'}")
    out.line()
    out.table(*workers_of(status))
    if status.get("upstreams"):
        out.line()
        out.table(*upstreams_of(status))


def connections_of(server: dict[str, int]) -> str:
    """Tell of connections in words."""
    return (
        f"{server['connections_active']} open ({server['connections_writing']} answering, "
        f"{server['connections_waiting']} idle, {server['websockets']} websockets), "
        f"{server['connections_accepted']} since the start"
    )


def workers_of(document: dict[str, Any]) -> Table:
    """Return the rows of workers, and their header."""
    known = {one["pid"]: one for one in document.get("workers", ())}
    rows = []
    for one in document["memory"]["workers"]:
        more = known.get(one["pid"], {})
        rows.append(
            [
                str(more.get("slot", "-")),
                str(one["pid"]),
                more.get("state", "-"),
                _mebibytes(one["rss_bytes"]),
            ]
        )
    return rows, ["WORKER", "PID", "STATE", "MEMORY"]


def upstreams_of(document: dict[str, Any]) -> Table:
    """Return the rows of targets, and their header."""
    rows = [
        [
            one["upstream"] or "-",
            one["target"],
            one["address"],
            one["health"],
            str(one["requests_in_flight"]),
            str(one["connections"]),
        ]
        for one in document["upstreams"]
    ]
    return rows, ["UPSTREAM", "TARGET", "ADDRESS", "HEALTH", "REQUESTS", "CONNECTIONS"]


def _mebibytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 1024 / 1024:.1f} MiB"
