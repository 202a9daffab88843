"""Where log plugins send what they have: files and queues that outlast the configurations which name them.

An output is shared by every plugin instance that names the same one, those of the configuration before a reload
included, so that a reload neither loses nor repeats anything. It is closed when the last of them lets go.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

from proxyd.telemetry.events import get_logger
from proxyd.telemetry.writer import PAUSE, LineWriter

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Hashable, Iterator

GRACE = 5.0  # seconds that a stopping gateway gives all of them together
PAST = 1000  # destinations that are no more, and whose counts go on being told

log = get_logger("logs")


class Output(Protocol):
    """One destination. ``plugin`` and ``destination`` are its labels, and hold no credential."""

    plugin: str
    destination: str

    @property
    def waiting(self) -> int:
        """Records that were taken and not delivered yet."""

    @property
    def sent(self) -> int:
        """Records delivered."""

    @property
    def dropped(self) -> int:
        """Records given up."""

    def lost(self, count: int) -> None:
        """Count records that never came this far."""

    def reopen(self) -> None:
        """Go on in a new file, after rotation."""

    async def close(self, within: float) -> None:
        """Deliver what waits within some seconds, and end."""


OutputT = TypeVar("OutputT", bound=Output)


class Outputs:
    """Every output of a process, by what makes two of them the same.

    ``tls`` is what the certificates of collectors are verified with, None for what the system trusts. ``past`` has the
    records that were sent and dropped by outputs which are closed, by their labels.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.past: dict[tuple[str, str], tuple[int, int]] = {}
        self._shared: dict[Hashable, tuple[Output, int]] = {}
        self._closing: dict[asyncio.Task[None], Output] = {}

    def __repr__(self) -> str:
        return f"<Outputs {len(self._shared)} closing={len(self._closing)}>"

    def __iter__(self) -> Iterator[Output]:
        return iter([output for output, _ in self._shared.values()])

    def told(self) -> list[Output]:
        """List those that there are figures of: the ones that are closing, too."""
        return [*self, *self._closing.values()]

    def acquire(self, key: Hashable, make: Callable[[], OutputT]) -> OutputT:
        """Return the output of this key, made where it is not there yet."""
        output, users = self._shared.get(key) or (make(), 0)
        self._shared[key] = output, users + 1
        return output  # type: ignore[return-value]  # a key stands for one class

    def release(self, key: Hashable) -> None:
        """Let go of an output; behind the last user it is closed, beside the caller."""
        output, users = self._shared.pop(key)
        if users > 1:
            self._shared[key] = output, users - 1
            return
        self._close(output)

    def _close(self, output: Output) -> None:
        task = asyncio.get_running_loop().create_task(output.close(GRACE))
        self._closing[task] = output
        task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        output = self._closing.pop(task)
        key = (output.plugin, output.destination)
        sent, dropped = self.past.pop(key, (0, 0))
        self.past[key] = sent + output.sent, dropped + output.dropped
        if len(self.past) > PAST:
            del self.past[next(iter(self.past))]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an output did not close cleanly", exc_info=error)

    def reopen(self) -> None:
        """Go on in new files, after rotation."""
        for output in self:
            output.reopen()

    async def stop(self) -> None:
        """Wait until everything that was let go of is closed."""
        shared, self._shared = self._shared, {}
        for output, _ in shared.values():  # a plugin did not stop
            self._close(output)
        await asyncio.gather(*self._closing, return_exceptions=True)


class FileOutput:
    """Lines to a path, ``/dev/stdout`` or ``/dev/stderr``. A path that cannot be opened is tried anew with each write."""

    def __init__(self, plugin: str, path: str) -> None:
        self.plugin = plugin
        self.destination = path
        self._lines = 0
        self._lost = 0
        self._full = False
        self._writer = LineWriter(path, None, pause=PAUSE, failed=self._failed)

    def __repr__(self) -> str:
        return f"<FileOutput {self._writer!r}>"

    @property
    def waiting(self) -> int:
        """Lines handed over, and neither written nor dropped yet."""
        return max(self._lines - self._writer.written - self._writer.dropped, 0)

    @property
    def sent(self) -> int:
        """Lines written."""
        return self._writer.written

    @property
    def dropped(self) -> int:
        """Lines that were never written."""
        return self._writer.dropped + self._lost

    def lost(self, count: int) -> None:
        """Count records that were never made."""
        self._lost += count

    def follow(self) -> None:
        """Look before every write whether another file stands at the path."""
        self._writer.follow = True

    def write(self, lines: list[bytes]) -> None:
        """Write records, a line each; never waits."""
        before = self._writer.dropped
        self._lines += len(lines)
        self._writer.write(b"\n".join([*lines, b""]), len(lines))
        full = self._writer.dropped > before and self._writer.pending > 0
        if full and not self._full:
            log.warning(
                "log lines are being lost: their destination is too slow", destination=self.destination
            )
        self._full = full

    def _failed(self, error: OSError) -> None:
        log.error("log lines are being lost", destination=self.destination, reason=error.strerror)

    def reopen(self) -> None:
        """Go on in a new file of the same name."""
        self._writer.reopen()

    async def close(self, within: float) -> None:
        """Write what is pending."""
        if not await asyncio.to_thread(self._writer.close, within):
            log.warning("log lines were left unwritten", destination=self.destination)
