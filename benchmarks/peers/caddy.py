"""Caddy as a reverse proxy on one core."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from benchmarks.peers.base import output
from benchmarks.process import Command

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.base import Certificate


class CaddyPeer:
    """Caddy's ``reverse_proxy``; X-Forwarded-* is what it sets by itself."""

    name = "caddy"
    settings = "reverse_proxy, GOMAXPROCS=1, keep-alive 64 to the backend, X-Forwarded-*, HTTP/1.1, no log"

    def missing(self) -> str | None:
        """Tell whether the program is on the path."""
        return None if shutil.which("caddy") else "not installed: apt-get install caddy"

    def version(self) -> str:
        """Return the first word of ``caddy version``."""
        return (output(["caddy", "version"]).split() or ["unknown"])[0].removeprefix("v")

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Write the Caddyfile."""
        config = directory / "Caddyfile"
        # ":443" and no name: whatever server name is asked for, this certificate is shown.
        scheme, show = ("https", f"tls {tls.chain} {tls.key}") if tls else ("http", "")
        config.write_text(f"""{{
  admin off
  auto_https off
  servers {{
    protocols h1
  }}
  log {{
    output discard
  }}
}}
{scheme}://:{listen} {{
  bind 127.0.0.1
  {show}
  reverse_proxy 127.0.0.1:{origin} {{
    transport http {{
      keepalive 60s
      keepalive_idle_conns 64
      keepalive_idle_conns_per_host 64
      compression off
    }}
  }}
}}
""")
        home = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
        argv = [shutil.which("caddy") or "caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
        return Command(argv, home | {"GOMAXPROCS": "1"})
