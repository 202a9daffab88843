"""The listening sockets of all slots: bound, listened on and held by the master for as long as it lives.

Each slot has a socket of its own at every TCP address (SO_REUSEPORT), so that the kernel spreads connections evenly. A
socket that nobody accepts from for a while still queues connections, and loses none, because it stays open here. A unix
socket knows no such thing: all slots share one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from typing import TYPE_CHECKING

from proxyd.downstream.sockets import bind, describe, in_the_way
from proxyd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from proxyd.model.listen import Listen


class Sockets:
    """``slots`` holds, for each slot, one socket per entry of ``entries``; shared ones are in several slots.

    Entries of ``listens`` in ``given`` have sockets that were opened elsewhere, and are closed with the others.
    """

    def __init__(
        self,
        listens: Iterable[Listen],
        given: Mapping[Listen, Sequence[socket.socket]] | None = None,
    ) -> None:
        self.entries: list[Listen] = []
        self.addresses: list[str] = []
        self.slots: list[list[socket.socket]] = []
        self._listens = tuple(listens)
        self._given = given or {}
        self._paths: list[str] = []
        self._held: list[socket.socket] = [sock for sockets in self._given.values() for sock in sockets]

    def __repr__(self) -> str:
        return f"<Sockets slots={len(self.slots)} {' '.join(self.addresses)}>"

    def open(self, count: int) -> None:
        """Bind and listen for ``count`` slots; raises ConfigError, with nothing left open."""
        self.slots = [[] for _ in range(count)]
        try:
            for listen in self._listens:
                if listen in self._given:
                    for sock in self._given[listen]:
                        self._add(listen, self._beside(listen, sock))
                else:
                    self._add(listen, self._bind(listen))
        except BaseException:
            self.close()
            raise

    def _add(self, listen: Listen, sockets: Sequence[socket.socket]) -> None:
        self.entries.append(listen)
        self.addresses.append(describe(sockets[0], tls=listen.ssl))
        for slot, sock in zip(self.slots, sockets, strict=True):
            slot.append(sock)

    def _bind(self, listen: Listen) -> list[socket.socket]:
        count = len(self.slots)
        if listen.path:
            shared = self._listen(bind(listen), listen)
            self._paths.append(listen.path)
            return [shared] * count
        # Sockets with SO_REUSEPORT would be bound beside those of another gateway without a word.
        alone = bind(dataclasses.replace(listen, reuseport=False))
        port = alone.getsockname()[1]
        alone.close()
        group = dataclasses.replace(listen, reuseport=True, port=port)
        return [self._listen(bind(group), listen) for _ in range(count)]

    def _beside(self, listen: Listen, given: socket.socket) -> list[socket.socket]:
        """Return a socket for each slot at the address of one that was given, or that one for all of them."""
        count = len(self.slots)
        name = given.getsockname()
        if not isinstance(name, tuple) or not given.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            return [given] * count
        group = dataclasses.replace(listen, host=name[0], port=name[1], reuseport=True)
        made: list[socket.socket] = []
        try:
            for _ in range(count - 1):
                made.append(bind(group))  # noqa: PERF401  # what there is has to be closed
        except ConfigError:  # such as a port that takes privileges which we have not
            for sock in made:
                sock.close()
            return [given] * count
        return [given, *(self._listen(sock, listen) for sock in made)]

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
        while self._paths:  # at first: once nobody answers there, the path may be another one's
            with contextlib.suppress(OSError):
                os.unlink(self._paths.pop())  # noqa: PTH108  # a socket, not a file
        while self._held:
            self._held.pop().close()
