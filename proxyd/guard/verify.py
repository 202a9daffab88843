"""Whether a request came through the gateway: keys, window, replays, body."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from proxyd.guard.signature import UNSIGNED, Signature, parse, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WINDOW = 30.0  # seconds that a signature is valid, before and after its time
MAX_SEEN = 1_000_000  # nonces remembered at most, about 100 MB


class Refused(Exception):  # noqa: N818  # it is what happened to the request
    """The request did not come through the gateway, or not now; the text says why and holds no secret."""


class Guard:
    """Verifies what the plugin internal-key sends.

    ``keys`` are secrets by id, two of them during a rotation. ``mode`` and ``header`` are as in the plugin.
    ``require_body`` refuses signatures that leave the body out. One process remembers the nonces that it saw:
    where several share the work, a request can be replayed once to each within ``window`` seconds.
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        *,
        mode: str = "signature",
        header: str = "X-Internal-Key",
        window: float = WINDOW,
        require_body: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        if not keys or not all(keys.values()):
            raise ValueError("a guard needs at least one key, and none may be empty")
        if mode not in {"header", "signature"}:
            raise ValueError("mode is header or signature")
        self.header = header.lower()
        self.signs = mode == "signature"
        self._keys = {key: secret.encode() for key, secret in keys.items()}
        self._window = window
        self._require_body = require_body
        self._now = now
        self._seen: OrderedDict[str, float] = OrderedDict()  # nonce -> when it may be forgotten

    def __repr__(self) -> str:
        return f"<Guard {self.header} keys={sorted(self._keys)}>"

    def check(self, method: str, target: str, headers: Mapping[str, str]) -> Callable[[bytes], None] | None:
        """Verify a request's head; raises Refused.

        ``target`` is the path and query as they came, undecoded; ``headers`` have lower-case names. Where the body
        is signed too, a function is returned that takes the whole body and raises Refused.
        """
        value = headers.get(self.header)
        if not value:
            raise Refused("no internal key")
        if not self.signs:
            self._check_secret(value)
            return None
        signature = parse(value)
        if signature is None:
            raise Refused("malformed signature")
        self._check_signature(signature, method, target, headers.get("x-consumer-id", ""))
        self._check_replay(signature)
        if signature.digest == UNSIGNED:
            if self._require_body:
                raise Refused("the body is not signed")
            return None
        return lambda body: _check_body(signature, body)

    def _check_secret(self, value: str) -> None:
        # Every key is compared, so that the time says nothing of which one was close.
        matches = [hmac.compare_digest(value.encode(), secret) for secret in self._keys.values()]
        if not any(matches):
            raise Refused("unknown internal key")

    def _check_signature(self, given: Signature, method: str, target: str, consumer: str) -> None:
        secret = self._keys.get(given.key)
        if secret is None:
            raise Refused("unknown key id")
        expected = sign(
            given.key,
            secret,
            method=method,
            target=target,
            consumer=consumer,
            digest=given.digest,
            timestamp=given.timestamp,
            nonce=given.nonce,
        )
        if not hmac.compare_digest(expected.rpartition("=")[2], given.mac):
            raise Refused("wrong signature")

    def _check_replay(self, given: Signature) -> None:
        now = self._now()
        if abs(now - given.timestamp) > self._window:
            raise Refused("signature out of its time")
        seen = self._seen
        while seen and (next(iter(seen.values())) <= now):
            seen.popitem(last=False)
        if given.nonce in seen:
            raise Refused("replayed")
        if len(seen) >= MAX_SEEN:
            raise Refused("too many requests to remember")  # forgetting one would let it in again
        seen[given.nonce] = now + 2 * self._window


def _check_body(given: Signature, body: bytes) -> None:
    if not hmac.compare_digest(hashlib.sha256(body).hexdigest(), given.digest):
        raise Refused("the body is another one")
