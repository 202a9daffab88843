"""The listening sockets of all slots: bound, listened on and held by the master for as long as it lives.

Each slot has a socket of its own at every TCP address (SO_REUSEPORT), so that the kernel spreads connections evenly. A
socket that nobody accepts from for a while still queues connections, and loses none, because it stays open here. A unix
socket knows no such thing: all slots share one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING

from proxyd.downstream.sockets import bind, describe, in_the_way

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from proxyd.model.listen import Listen


class Sockets:
    """``slots`` holds, for each slot, one socket per entry of ``listens``; shared ones are in several slots."""

    def __init__(self, listens: Sequence[Listen]) -> None:
        self.listens = tuple(listens)
        self.addresses: list[str] = []
        self.slots: list[list[socket.socket]] = []
        self._paths: list[str] = []
        self._held: list[socket.socket] = []

    def __repr__(self) -> str:
        return f"<Sockets slots={len(self.slots)} {' '.join(self.addresses)}>"

    def open(self, count: int) -> None:
        """Bind and listen for ``count`` slots; raises ConfigError, with nothing left open."""
        self.slots = [[] for _ in range(count)]
        try:
            for listen in self.listens:
                self._open(listen)
        except BaseException:
            self.close()
            raise

    def _open(self, listen: Listen) -> None:
        if listen.path:
            shared = self._listen(bind(listen), listen)
            self._paths.append(listen.path)
            for slot in self.slots:
                slot.append(shared)
        else:
            # Sockets with SO_REUSEPORT would be bound beside those of another gateway without a word.
            alone = bind(dataclasses.replace(listen, reuseport=False))
            port = alone.getsockname()[1]
            alone.close()
            group = dataclasses.replace(listen, reuseport=True, port=port)
            for slot in self.slots:
                slot.append(self._listen(bind(group), listen))
        self.addresses.append(describe(self.slots[0][-1], tls=listen.ssl))

    def _listen(self, sock: socket.socket, listen: Listen) -> socket.socket:
        self._held.append(sock)
        try:
            sock.listen(listen.backlog)
        except OSError as error:
            raise in_the_way(listen, error) from error
        return sock

    def descriptors(self) -> list[list[int]]:
        """Return the number of every socket, by slot."""
        return [[sock.fileno() for sock in slot] for slot in self.slots]

    def close(self) -> None:
        """Close them all: connections that wait in them are refused."""
        self.slots = []
        while self._held:
            self._held.pop().close()
        while self._paths:
            with contextlib.suppress(OSError):
                os.unlink(self._paths.pop())  # noqa: PTH108  # a socket, not a file
