"""Picks the backend that stands behind every proxy: nginx where it is installed, otherwise a small server of ours."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from benchmarks.origin_server import DOWNLOAD, GRAPHQL, SMALL
from benchmarks.peers.nginx import main_context
from benchmarks.process import Command, Server, free_port

if TYPE_CHECKING:
    from pathlib import Path


def static_origin(directory: Path, core: int) -> Server:
    """Return the backend of the request-rate scenarios, not started: small JSON, a GraphQL answer under /graphql, 100 KiB under /download."""
    binary = shutil.which("nginx")
    if binary is None:
        return streaming_origin(directory, core)
    home = directory / "origin"
    home.mkdir(exist_ok=True)
    (home / "download").write_bytes(DOWNLOAD)
    port = free_port()
    config = home / "nginx.conf"
    config.write_text(_config(home, port), encoding="utf-8")
    command = Command([binary, "-c", str(config), "-p", str(home), "-e", "stderr"])
    return Server("origin-nginx", command, port=port, core=core, directory=directory)


def streaming_origin(directory: Path, core: int) -> Server:
    """Return the backend of the stream and WebSocket scenarios, not started."""
    port = free_port()
    command = Command([sys.executable, "-m", "benchmarks.origin_server", str(port)])
    return Server("origin-python", command, port=port, core=core, directory=directory)


def graphql_origin(directory: Path, core: int) -> Server:
    """Return the backend of subscriptions, not started."""
    port = free_port()
    command = Command([sys.executable, "-m", "benchmarks.graphql_origin", str(port)])
    return Server("origin-graphql", command, port=port, core=core, directory=directory)


def _config(home: Path, port: int) -> str:
    # $request_id is fresh in every answer, so that no proxy gains by remembering the last head.
    return f"""{main_context(home)}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  open_file_cache max=10;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    add_header ETag '"$request_id"';
    add_header Cache-Control 'private, max-age=60';
    add_header Vary Accept-Encoding;
    location / {{
      default_type application/json;
      return 200 '{SMALL.decode()}';
    }}
    location /graphql {{
      default_type application/json;
      return 200 '{GRAPHQL.decode()}';
    }}
    location /download {{
      alias {home}/download;
      default_type application/octet-stream;
      etag off;
    }}
  }}
}}
"""
