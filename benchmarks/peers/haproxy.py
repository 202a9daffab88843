"""HAProxy with one thread."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from benchmarks.peers.base import output
from benchmarks.process import Command

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.base import Certificate


class HaproxyPeer:
    """HAProxy in HTTP mode, reusing server connections."""

    name = "haproxy"
    settings = "nbthread 1, http-keep-alive, http-reuse always, forwardfor and X-Forwarded-*, no log"

    def frontend_lines(self, directory: Path) -> str:
        """Return what else the frontend does."""
        del directory
        return ""

    def missing(self) -> str | None:
        """Tell whether the program is on the path."""
        return None if shutil.which("haproxy") else "not installed: apt-get install haproxy"

    def version(self) -> str:
        """Return the version number of the first line."""
        found = re.search(r"version (\S+)", output(["haproxy", "-v"]))
        return found.group(1) if found else "unknown"

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Write haproxy.cfg."""
        config = directory / "haproxy.cfg"
        ssl = f" ssl crt {tls.both} alpn http/1.1" if tls else ""
        config.write_text(f"""global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  option http-keep-alive
  option forwardfor
  http-reuse always
frontend proxy
  bind 127.0.0.1:{listen} backlog 4096{ssl}
{self.frontend_lines(directory)}  http-request set-header X-Forwarded-Proto {"https" if tls else "http"}
  http-request set-header X-Forwarded-Host %[req.hdr(Host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  use_backend events if {{ path_beg /events }}
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
backend events
  option http-no-delay
  server origin 127.0.0.1:{origin}
""")
        return Command([shutil.which("haproxy") or "haproxy", "-db", "-f", str(config)])
