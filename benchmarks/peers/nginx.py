"""nginx as a reverse proxy with an upstream keep-alive pool."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from benchmarks.peers.base import output
from benchmarks.process import Command

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.base import Certificate


def main_context(home: Path) -> str:
    """Return the lines above ``http``: one worker in the foreground, nothing written outside ``home``."""
    # A worker that drops root's rights could not read the temporary directory.
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""{user}worker_processes 1;
daemon off;
pid {home}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}"""


PASS = """      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
"""


class NginxPeer:
    """The reference of every ratio."""

    name = "nginx"
    settings = (
        "1 worker, upstream keepalive 64, HTTP/1.1, X-Forwarded-*, no access log, nothing buffered to disk"
    )

    location_lines = ""  # more of the location's
    server_lines = ""  # more of the server's

    def http_lines(self, directory: Path) -> str:
        """Return what stands above the server: of logs, here."""
        del directory
        return "  access_log off;\n"

    def missing(self) -> str | None:
        """Tell whether the program is on the path."""
        return None if shutil.which("nginx") else "not installed: apt-get install nginx"

    def version(self) -> str:
        """Return the version after the slash."""
        return output(["nginx", "-v"]).rpartition("/")[2]

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Write nginx.conf."""
        config = directory / "nginx.conf"
        temporary = "".join(
            f"  {kind}_temp_path {directory}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config.write_text(
            f"{main_context(directory)}\nhttp {{\n{temporary}{self.http_lines(directory)}"
            f"{_server(listen, origin, self.location_lines, _tls(tls) + self.server_lines, ' ssl' if tls else '')}}}\n"
        )
        return Command(
            [shutil.which("nginx") or "nginx", "-c", str(config), "-p", str(directory), "-e", "stderr"]
        )


def _tls(tls: Certificate | None) -> str:
    if tls is None:
        return ""
    return f"""    ssl_certificate {tls.chain};
    ssl_certificate_key {tls.key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:10m;
"""


def _server(listen: int, origin: int, location_lines: str, server_lines: str, flags: str) -> str:
    return f"""  keepalive_requests 100000000;
  client_max_body_size 0;
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 64;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{listen}{flags} backlog=4096;
{server_lines}    location / {{
{location_lines}      proxy_set_header Connection "";
{PASS}    }}
    location /ws {{
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
{PASS}    }}
  }}
"""
