"""The plain aiohttp proxy."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import TYPE_CHECKING

from benchmarks.process import Command

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.base import Certificate


class AiohttpPeer:
    """aiohttp's server and ClientSession on uvloop, one process."""

    name = "aiohttp"
    settings = "web.Application + ClientSession on uvloop, streamed, X-Forwarded-*, no access log"

    def missing(self) -> str | None:
        """It is a dependency of proxyd, so it is always there."""
        return None

    def version(self) -> str:
        """Return aiohttp's version."""
        return importlib.metadata.version("aiohttp")

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Start the script; ``directory`` stays empty."""
        del directory
        more = [str(tls.chain), str(tls.key)] if tls else []
        script = [sys.executable, "-m", "benchmarks.peers.aiohttp_app"]
        return Command([*script, str(listen), str(origin), *more])
