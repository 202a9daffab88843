"""What commands print: colour on terminals only, problems one per line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxyd.errors import Problem

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Output:
    """Writes to one stream. Colour needs a terminal, and no ``NO_COLOR`` (https://no-color.org)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = stream.isatty() and not os.environ.get("NO_COLOR")

    def style(self, text: str, *names: str) -> str:
        """Return the text in these styles."""
        if not self._colour or not names:
            return text
        return f"\x1b[{';'.join(_CODES[name] for name in names)}m{text}\x1b[0m"

    def line(self, text: str = "") -> None:
        """Write a line."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def text(self, text: str) -> None:
        """Write a text that has its line ends."""
        self._stream.write(text)
        self._stream.flush()

    def problems(self, problems: Iterable[Problem], word: str, colour: str) -> None:
        """Write problems, the word ``error`` or ``warning`` in front of what is wrong."""
        for problem in problems:
            where = f"{problem.place}: {problem.path}: " if problem.path else f"{problem.place}: "
            hint = f" ({problem.hint})" if problem.hint else ""
            self.line(
                f"{where}{self.style(word, colour, 'bold')}: {problem.message}{self.style(hint, 'dim')}"
            )

    def table(self, rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
        """Write rows in columns as wide as their widest cell."""
        widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
        self.line(self.style(_row(header, widths), "bold"))
        for row in rows:
            self.line(_row(row, widths))


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def stdout() -> Output:
    """Return the output for answers."""
    return Output(sys.stdout)


def stderr() -> Output:
    """Return the output for complaints."""
    return Output(sys.stderr)
