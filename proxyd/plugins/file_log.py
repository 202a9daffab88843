"""file-log: each request's record as a line of JSON in a file or on a standard stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from proxyd.bases import logger
from proxyd.bases.logger import Logger
from proxyd.telemetry.outputs import FileOutput

if TYPE_CHECKING:
    from proxyd.exchange import Exchange


class Config(logger.Config):
    """Settings of file-log (Kong's ``kong/plugins/file-log/schema.lua``)."""

    path: str = Field(pattern=r"^[^*&%\\`\x00]+$", min_length=1)
    """File that lines are appended to, made where it is not there; or /dev/stdout, /dev/stderr, a named pipe."""
    reopen: bool = False
    """Whether to look before each write if the file was moved away; without, SIGUSR1 tells so."""


class FileLog(Logger[Config]):
    """Appends the record of each request to a file. Instances that name one path share it."""

    name = "file-log"
    priority = 9
    output: FileOutput

    def output_key(self) -> tuple[str, str]:
        """Share the file with whoever names it."""
        return self.name, self.config.path

    def open(self) -> FileOutput:
        """Make the file's writer; what cannot be opened now is tried again with each write."""
        return FileOutput(self.name, self.config.path)

    async def start(self) -> None:
        """Open the file, and follow it if asked."""
        await super().start()
        if self.config.reopen:
            self.output.follow()

    def log(self, exchange: Exchange) -> None:
        """Note the exchange; its line follows within a tenth of a second."""
        self._note(exchange)

    def deliver(self, batch: list[Exchange], wall: float) -> None:
        """Write a line for each."""
        line = self.recorder.line
        self.output.write([line(exchange, wall) for exchange in batch])
