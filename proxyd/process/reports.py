"""A worker's figures in the file that its master keeps; nothing where there is no master."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.telemetry.journal import Journal
from proxyd.telemetry.report import Reporter

if TYPE_CHECKING:
    from proxyd.model.load import Loaded
    from proxyd.telemetry.record import Telemetry
    from proxyd.telemetry.source import StatusSource


class Reports:
    """The journal that requests are written down in, and what reports the rest. ``figures`` is the file's descriptor."""

    def __init__(self, figures: int | None) -> None:
        self.journal = Journal(figures) if figures is not None else None
        self._reporter: Reporter | None = None

    def __repr__(self) -> str:
        return f"<Reports {self._reporter or self.journal}>"

    def start(self, telemetry: Telemetry, source: StatusSource, loaded: Loaded) -> None:
        """Begin to report, before the first request."""
        if self.journal is not None:
            self._reporter = Reporter(self.journal, telemetry, source)
            self._reporter.start()
            self.live(loaded)

    def live(self, loaded: Loaded) -> None:
        """Tell which routes and consumers there are from now on."""
        if self._reporter is not None:
            self._reporter.live(consumer_labels(loaded))

    async def write(self) -> None:
        """Report now."""
        if self._reporter is not None:
            await self._reporter.write()

    async def stop(self) -> None:
        """Report for the last time, behind everything that counts; works after a half start."""
        reporter, self._reporter = self._reporter, None
        if reporter is not None:
            await reporter.stop()
        if self.journal is not None:
            self.journal.close()
            self.journal = None


def consumer_labels(loaded: Loaded) -> set[str]:
    """Return what the consumers of a configuration are called in figures."""
    return {consumer.label for consumer in loaded.configuration.consumers.values()}
