"""Writes down what those do who administer the gateway: the last in memory, all of it in a file where there is one.

What changes in a database is written down there, together with the change; here it is only copied to the file.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from proxyd.admin.audit.record import LOGIN_FAILED, Record
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.writer import LineWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxyd.clock import Clock
    from proxyd.database.entries import AuditQuery, Author
    from proxyd.telemetry.segments import SegmentWriter

KEPT: Final = 1000  # entries in memory
KEPT_FAILURES: Final = 200  # logins that failed; whoever tries them cannot push out the others
READ: Final = 4 * 1024 * 1024  # bytes at the end of a file that are read at the start

log = get_logger("admin")


class Auditor:
    """The audit log of one process, or of a master for its workers."""

    def __init__(self, clock: Clock) -> None:
        self._time = clock.time
        self._number = 0
        self._run = f"{int(clock.time()):x}"  # so that ids differ from those before a restart
        self._kept: deque[Record] = deque(maxlen=KEPT)
        self._failures: deque[Record] = deque(maxlen=KEPT_FAILURES)
        self._writer: LineWriter | None = None
        self._segments: SegmentWriter | None = None

    def __repr__(self) -> str:
        return f"<Auditor kept={len(self._kept) + len(self._failures)} file={self._writer!r}>"

    # --- the file --------------------------------------------------------------------------------------------

    def open(self, destination: str, segments: SegmentWriter | None = None) -> None:
        """Write to a path, a standard stream or, with ``off``, nowhere; raises ConfigError.

        What stands in a file is remembered, but for what the database knows itself. ``segments`` are those that are
        shipped elsewhere.
        """
        self._segments = segments
        if destination != "off":
            self._writer = LineWriter(destination, "admin_audit_log", failed=_failed)
            for line in _last_lines(Path(destination)):
                record = Record.of(self._number + 1, line)
                if record is not None and record.revision is None:
                    self._number += 1
                    self._remember(record)

    def reopen(self) -> None:
        """Go on in a new file, after rotation."""
        if self._writer is not None:
            self._writer.reopen()
        if self._segments is not None:
            self._segments.rotate()

    def close(self) -> None:
        """Write what is left; works without a file."""
        if self._writer is not None:
            self._writer.close()
        if self._segments is not None:
            self._segments.close()

    @property
    def writes(self) -> bool:
        """Whether there is a file, or segments."""
        return self._writer is not None or self._segments is not None

    @property
    def dropped(self) -> int:
        """How many lines were not written, for their destination was slow or failed."""
        return sum(one.dropped for one in (self._writer, self._segments) if one is not None)

    # --- entries ---------------------------------------------------------------------------------------------

    def note(
        self,
        author: Author,
        action: str,
        collection: str = "",
        entity: str = "",
        before: Any = None,
        after: Any = None,
    ) -> None:
        """Write down that something was done; ``before`` and ``after`` are JSON without secrets."""
        self._number += 1
        identity = f"{self._run}-{self._number}"
        record = Record(
            self._number, identity, self._time(), author, action, collection, entity, before, after
        )
        self._remember(record)
        self.copy(record)

    def _remember(self, record: Record) -> None:
        (self._failures if record.action == LOGIN_FAILED else self._kept).append(record)

    def copy(self, record: Record) -> None:
        """Write an entry to the file alone, and into the segments."""
        if self.writes:
            line = orjson.dumps(record.document(), option=orjson.OPT_APPEND_NEWLINE)
            for one in (self._writer, self._segments):
                if one is not None:
                    one.write(line, 1)

    def find(self, query: AuditQuery) -> list[Record]:
        """Return what is in memory of what is asked for, the newest first; ``before`` is a number of these."""
        found = [
            one
            for one in (*self._kept, *self._failures)
            if one.fits(query) and (not query.before or one.number < query.before)
        ]
        return sorted(found, key=lambda one: one.number, reverse=True)[: query.size]


def _last_lines(path: Path) -> Iterator[Any]:
    """Yield what the last lines of a file say; what is no JSON is left out."""
    if not path.is_file():  # a pipe, or a stream
        return
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - READ, 0))
            lines = file.read(READ).splitlines()
    except OSError:  # it may be written, and not read
        return
    for line in lines[1:] if size > READ else lines:
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:
            continue


def _failed(error: OSError) -> None:
    log.error("audit log not written", reason=str(error))
