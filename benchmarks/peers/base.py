"""What the bench needs to know of a proxy."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from benchmarks.process import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.process import Command


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a proxy shows its clients: PEM files of the chain, of the key, and of both."""

    chain: Path
    key: Path
    both: Path


class Peer(Protocol):
    """One proxy under test; ``settings`` is one line that says how it is configured."""

    name: str
    settings: str

    def missing(self) -> str | None:
        """Return why it cannot be measured here, or None."""

    def version(self) -> str:
        """Return its version, as it tells it."""

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Write its configuration into ``directory``; return how to start it, from port ``listen`` to ``origin``.

        With ``tls``, clients speak TLS to it. WebSockets are passed on under /ws.
        """


def output(argv: list[str]) -> str:
    """Return what a command prints, on either stream."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30, cwd=ROOT)
    return (done.stdout + done.stderr).strip()
