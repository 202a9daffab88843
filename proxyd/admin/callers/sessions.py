"""Who has logged in with a browser: kept here, so that a login can be ended, and gone with the process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxyd.clock import Clock
    from proxyd.model.tokens import AdminToken

PER_TOKEN: Final = 100  # logins of one token; one more ends the one that was idle for longest


@dataclass(slots=True)
class Session:
    """One login: whose, and the word that a page has to send with each write. Times are the clock's ``now``.

    ``serving`` are the connections on which requests are being answered, for as long as that takes.
    """

    token: AdminToken
    begun_at: float
    used_at: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    serving: Counter[asyncio.BaseTransport] = field(default_factory=Counter, repr=False)


class Sessions:
    """The logins. One that was idle for ``idle`` seconds is over, and so is one that began ``absolute`` seconds ago."""

    def __init__(self, clock: Clock, idle: float, absolute: float) -> None:
        self._clock = clock
        self._idle = idle
        self._absolute = absolute
        # By the token, and by the digest of the id: how long a look-up takes says nothing of one that is guessed.
        self._by_token: dict[bytes, OrderedDict[bytes, Session]] = {}

    def __repr__(self) -> str:
        return f"<Sessions {len(self)}>"

    def __len__(self) -> int:
        return sum(map(len, self._by_token.values()))

    def begin(self, token: AdminToken) -> tuple[str, Session]:
        """Log in; returns the id that the browser has to know, which is never used again."""
        identity = secrets.token_urlsafe(32)
        now = self._clock.now()
        session = Session(token, now, now)
        of_token = self._by_token.setdefault(token.digest, OrderedDict())
        for old in [key for key, one in of_token.items() if self._left(one) <= 0]:
            del of_token[old]
        while len(of_token) >= PER_TOKEN:
            _cut(of_token.popitem(last=False)[1])
        of_token[_key(identity)] = session
        return identity, session

    def find(self, identity: str) -> Session | None:
        """Return the login with an id, which is used by that; None where it is over."""
        key = _key(identity)
        for of_token in self._by_token.values():
            session = of_token.get(key)
            if session is None:
                continue
            if self._left(session) <= 0:
                del of_token[key]
                return None
            session.used_at = self._clock.now()
            of_token.move_to_end(key)
            return session
        return None

    def end(self, identity: str, but: asyncio.BaseTransport | None = None) -> None:
        """Log out, and cut what is still being answered, as a stream of events, ``but`` for one connection."""
        key = _key(identity)
        for of_token in self._by_token.values():
            if key in of_token:
                _cut(of_token.pop(key), but)

    @contextlib.contextmanager
    def serving(self, session: Session, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """Answer a request of a login on a connection, which is cut when the login's time is over."""
        if transport is None:  # it has gone
            yield
            return
        session.serving[transport] += 1
        left = session.begun_at + self._absolute - self._clock.now()
        timer = asyncio.get_running_loop().call_later(left, transport.close)
        try:
            yield
        finally:
            timer.cancel()
            session.serving[transport] -= 1
            if not session.serving[transport]:
                del session.serving[transport]

    def expires_at(self, session: Session) -> float:
        """Return when a login ends if nothing more comes, in seconds since the epoch."""
        return self._clock.time() + self._left(session)

    def _left(self, session: Session) -> float:
        return min(session.used_at + self._idle, session.begun_at + self._absolute) - self._clock.now()


def _cut(session: Session, but: asyncio.BaseTransport | None = None) -> None:
    for transport in session.serving.keys() - {but}:
        transport.close()


def _key(identity: str) -> bytes:
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).digest()
