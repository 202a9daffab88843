"""The peers out of npm, which `make bench-node` installs and builds in .venv/node/bench."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from benchmarks.process import ROOT, Command

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.base import Certificate

HOME = ROOT / ".venv" / "node" / "bench"
BUILT = HOME / ".built"


class NodePeer:
    """What both have in common; neither is measured with TLS."""

    name: str
    package: str

    def missing(self) -> str | None:
        """Tell whether Node.js is there, and what `make bench-node` makes."""
        if shutil.which("node") is None:
            return "Node.js is not installed"
        return None if BUILT.exists() else "not installed: make bench-node"

    def version(self) -> str:
        """Return the version of the installed package."""
        text = (HOME / "node_modules" / self.package / "package.json").read_text(encoding="utf-8")
        version: str = json.loads(text)["version"]
        return version

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Start the script that ``make bench-node`` put there; ``directory`` stays empty."""
        del directory
        if tls:
            raise ValueError(f"{self.name} is not set up for TLS")
        return Command([shutil.which("node") or "node", *self.script(listen, origin)], self.env(origin))

    def script(self, listen: int, origin: int) -> list[str]:
        """Return the arguments of node."""
        raise NotImplementedError

    def env(self, origin: int) -> dict[str, str]:
        """Return the environment."""
        del origin
        return {"NODE_ENV": "production"}


class FastifyPeer(NodePeer):
    """@fastify/http-proxy."""

    name = "fastify"
    package = "@fastify/http-proxy"
    settings = "@fastify/http-proxy, 1 process, undici with keep-alive connections, X-Forwarded-*, no log"

    def script(self, listen: int, origin: int) -> list[str]:
        """Return the script with its ports."""
        return [str(HOME / "fastify.mjs"), str(listen), str(origin)]


class NextPeer(NodePeer):
    """A Next.js route handler with fetch."""

    name = "nextjs"
    package = "next"
    settings = "route handler with fetch, next build and next start, 1 process, no compression, no log"

    def script(self, listen: int, origin: int) -> list[str]:
        """Return what `next start` is."""
        del origin
        start = [str(HOME / "node_modules" / "next" / "dist" / "bin" / "next"), "start", str(HOME)]
        return [*start, "--hostname", "127.0.0.1", "--port", str(listen), "--keepAliveTimeout", "60000"]

    def env(self, origin: int) -> dict[str, str]:
        """Return the environment, which holds the backend's port."""
        return {"NODE_ENV": "production", "NEXT_TELEMETRY_DISABLED": "1", "ORIGIN_PORT": str(origin)}
