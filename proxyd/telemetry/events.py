"""The event log: what happens to the gateway, as against what happens to requests.

JSON lines, or coloured text where the destination is a terminal. Levels have Kong's names, which are those of
syslog. Loggers may be made at import: what ``configure`` sets holds for all of them from then on, and before
it, JSON goes to standard error. Python's own ``logging`` (asyncio, aiohttp) ends up in the same place.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from structlog.dev import ConsoleRenderer, plain_traceback

from proxyd.telemetry.writer import LineWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    Event = MutableMapping[str, Any]

LEVELS = ("debug", "info", "notice", "warn", "error", "crit", "alert", "emerg")

_RANK = {level: rank for rank, level in enumerate(LEVELS)}
_TO_STDLIB = (10, 20, 20, 30, 40, 50, 50, 50)
_FROM_STDLIB = ((50, "crit"), (40, "error"), (30, "warn"), (20, "info"), (0, "debug"))
_COLOURS = {
    "debug": "\x1b[2m",
    "info": "\x1b[32m",
    "notice": "\x1b[36m",
    "warn": "\x1b[33m",
    **dict.fromkeys(("error", "crit", "alert", "emerg"), "\x1b[1;31m"),
}


def _to_json(_logger: Any, _name: str, event: Event) -> bytes:
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    try:
        return orjson.dumps(event, default=str, option=options)
    except orjson.JSONEncodeError:
        return orjson.dumps({key: ascii(value) for key, value in event.items()}, option=options)


def _to_text(*, colours: bool) -> Callable[[Any, str, Event], bytes]:
    renderer = ConsoleRenderer(
        colors=colours,
        level_styles=_COLOURS if colours else dict.fromkeys(LEVELS, ""),
        exception_formatter=plain_traceback,  # the others may show local variables, and those may be secret
        timestamp_key="time",
    )

    def render(logger: Any, name: str, event: Event) -> bytes:
        return f"{renderer(logger, name, event)}\n".encode("utf-8", "backslashreplace")

    return render


def _stderr(line: bytes) -> None:
    try:
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
    except (OSError, ValueError, AttributeError):
        return  # closed, full or replaced: an event is never worth an exception


class _Output:
    """Where events go and how they look; one per process."""

    def __init__(self) -> None:
        self.rank = _RANK["notice"]
        self.render: Callable[[Any, str, Event], bytes] = _to_json
        self.format_exceptions = True
        self.write: Callable[[bytes], None] = _stderr
        self.bound: dict[str, Any] = {}

    def msg(self, line: bytes) -> None:
        """Take a rendered line from structlog."""
        self.write(line)


_output = _Output()


def _finish(logger: Any, name: str, event: Event) -> bytes:
    head = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": event.pop("level"),
        "component": event.pop("component"),
        "event": event.pop("event"),
        **_output.bound,
    }
    if _output.format_exceptions:
        structlog.processors.format_exc_info(logger, name, event)
    return _output.render(logger, name, {**head, **event})


class EventLogger(structlog.BoundLoggerBase):
    """Logs an event with its values: ``log.warning("reload refused", file=path)``. ``exc_info`` adds a traceback."""

    def _emit(self, level: str, event: str, values: dict[str, Any]) -> None:
        if _RANK[level] >= _output.rank:
            self._proxy_to_logger("msg", event, level=level, **values)

    def debug(self, event: str, **values: Any) -> None:
        """Log what only somebody who looks for a fault wants to know."""
        self._emit("debug", event, values)

    def info(self, event: str, **values: Any) -> None:
        """Log what is usual."""
        self._emit("info", event, values)

    def notice(self, event: str, **values: Any) -> None:
        """Log what is usual and worth a line in production: start, reload, stop."""
        self._emit("notice", event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Log what may need attention."""
        self._emit("warn", event, values)

    def error(self, event: str, **values: Any) -> None:
        """Log what failed."""
        self._emit("error", event, values)

    def crit(self, event: str, **values: Any) -> None:
        """Log what keeps the gateway from doing its work."""
        self._emit("crit", event, values)

    def alert(self, event: str, **values: Any) -> None:
        """Log what somebody must see to at once."""
        self._emit("alert", event, values)

    def emerg(self, event: str, **values: Any) -> None:
        """Log why the gateway ends."""
        self._emit("emerg", event, values)


def get_logger(component: str) -> EventLogger:
    """Return a logger whose lines carry the name of a part of the gateway."""
    return EventLogger(_output, [_finish], {"component": component})


class _FromStdlib(logging.Handler):
    """Passes records of Python's ``logging`` on."""

    def emit(self, record: logging.LogRecord) -> None:
        level = next(name for least, name in _FROM_STDLIB if record.levelno >= least)
        extra = {"exc_info": record.exc_info} if record.exc_info else {}
        get_logger(record.name)._emit(level, record.getMessage(), extra)  # noqa: SLF001  # a level by name


def set_level(level: str) -> None:
    """Log events of this level and above; one of LEVELS."""
    _output.rank = _RANK[level]
    logging.root.setLevel(_TO_STDLIB[_RANK[level]])


def bind(**values: Any) -> None:
    """Have every line of this process carry these values, as the number of the worker."""
    _output.bound = values


def configure(level: str, destination: str, environ: Mapping[str, str] = os.environ) -> LineWriter | None:
    """Send events of ``level`` and above to ``/dev/stderr``, ``/dev/stdout``, a path, or nowhere (``off``).

    Returns the writer, for ``reopen`` and ``close``. Raises ConfigError where a path cannot be opened.
    """
    logging.root.handlers = [_FromStdlib()]
    logging.captureWarnings(capture=True)
    set_level(level)
    if destination == "off":
        _output.write = _discard
        return None
    writer = LineWriter(destination, "proxy_error_log")
    stream = {"/dev/stderr": 2, "/dev/stdout": 1}.get(destination)
    terminal = stream is not None and os.isatty(stream)
    # https://no-color.org: any value that is not empty switches colour off.
    _output.render = _to_text(colours=not environ.get("NO_COLOR")) if terminal else _to_json
    _output.format_exceptions = not terminal  # the console renderer does that itself
    _output.write = lambda line: writer.write(line, 1)
    atexit.register(writer.close)
    return writer


def _discard(_line: bytes) -> None:
    """Log nothing."""
