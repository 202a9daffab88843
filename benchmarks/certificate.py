"""The certificate that every proxy shows in the scenarios with TLS: P-256, signed by an authority of its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.peers.base import Certificate, output
from benchmarks.process import ServerError

if TYPE_CHECKING:
    from pathlib import Path


def make(directory: Path) -> Certificate:
    """Make it in ``directory``, if it is not there yet; ServerError when that fails."""
    home = directory / "certificate"
    made = Certificate(home / "cert.pem", home / "cert.key", home / "both.pem")
    if not made.both.exists():
        said = output([sys.executable, "-m", "proxyd", "dev-cert", "--directory", str(home)])
        if not made.chain.exists() or not made.key.exists():
            raise ServerError(f"no certificate: {said}")
        made.both.write_bytes(made.chain.read_bytes() + made.key.read_bytes())
    return made
