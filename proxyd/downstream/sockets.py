"""Listening sockets as such: opened, named, and emptied."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

from proxyd.errors import ConfigError, Place, Problem

if TYPE_CHECKING:
    from proxyd.model.listen import Listen


def accept(sock: socket.socket) -> socket.socket | None:
    """Take a connection out of the queue; None where there is none, or no descriptor for it."""
    while True:
        try:
            accepted, _ = sock.accept()
        except ConnectionAbortedError:  # it is gone already
            continue
        except OSError:
            return None
        accepted.setblocking(False)  # the socket API's own
        return accepted


def describe(sock: socket.socket, *, tls: bool) -> str:
    """Name a listening socket as a URL."""
    scheme = "https" if tls else "http"
    name = sock.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{scheme}://{host}:{name[1]}"


def bind(listen: Listen) -> socket.socket:
    """Open the socket of one ``proxy_listen`` entry; raises ConfigError that names what is in the way."""
    family = socket.AF_UNIX if listen.path else socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if listen.path:
            _remove_stale(listen.path)
            sock.bind(listen.path)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if listen.reuseport:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if listen.so_keepalive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if listen.deferred:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, listen.ipv6only)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.bind((listen.host, listen.port))
    except OSError as error:
        sock.close()
        raise in_the_way(listen, error) from error
    sock.setblocking(False)  # the socket API's own
    return sock


def in_the_way(listen: Listen, error: OSError) -> ConfigError:
    """Return what is wrong where an address cannot be listened on."""
    reason = f"cannot listen on {listen}: {os.strerror(error.errno) if error.errno else error}"
    return ConfigError([Problem(Place("proxy_listen"), "", reason)])


def _remove_stale(path: str) -> None:
    """Remove the socket of a process that is no more; one that answers is left, and binding fails on it."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(path) != 0:
            os.unlink(path)  # noqa: PTH108
