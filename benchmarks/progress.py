"""What a person at a terminal sees of a long run: one line that changes."""

from __future__ import annotations

import sys
import time
from typing import TextIO

WIDTH = 110


class Progress:
    """Writes to ``out``, the error stream by default; what passes is shown on a terminal only, what stays always."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._changes = self._out.isatty()
        self._began = time.monotonic()
        self.title = ""

    def say(self, line: str) -> None:
        """Show where the run is, in the place of what was shown before."""
        if self._changes:
            whole = f"{self.spent()} {self.title} {' '.join(line.split())}"
            self._out.write(f"\r\x1b[K{whole[:WIDTH]}")
            self._out.flush()

    def tell(self, line: str) -> None:
        """Print a line that stays."""
        erased = "\r\x1b[K" if self._changes else ""
        self._out.write(f"{erased}{line}\n")
        self._out.flush()

    def spent(self) -> str:
        """Return the minutes and seconds since the start."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes}:{seconds:02d}"
