"""How often a wrong token may be tried: from one address, and from all of them together.

Both are counted by the generic cell rate algorithm, one number each: the time at which everything tried so far will have
been paid for. While too much is tried from everywhere, an address has one try, and not several; so who has the right
token gets in from an address that nobody has tried anything from, however many others there are. Who has shown it before
from a shared address is not kept out by others behind that.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES: Final = 5  # wrong tokens from one address, at once
PAUSE: Final = 12.0  # seconds for each one more
ALL_TRIES: Final = 100  # wrong tokens from anywhere, at once
ALL_PAUSE: Final = 0.6  # seconds for each one more
ADDRESSES: Final = 10_000  # that are remembered, of each kind
_V6_PREFIX: Final = 64  # bits: whoever has one address of a network has all of them


class Throttle:
    """Counts wrong tokens by the address that they come from. ``now`` gives monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._paid_at: OrderedDict[str, float] = OrderedDict()  # by network
        self._all_paid_at = 0.0
        self._right: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Throttle addresses={len(self._paid_at)} right={len(self._right)}>"

    def wait(self, address: str, digest: bytes) -> float:
        """Return how many seconds a token with this digest may not be tried from there; 0.0 for not at all."""
        network = _network(address)
        if (network, digest) in self._right:
            return 0.0
        now = self._now()
        tries = TRIES if self._all_paid_at - now <= (ALL_TRIES - 1) * ALL_PAUSE else 1
        return max(self._paid_at.get(network, now) - now - (tries - 1) * PAUSE, 0.0)

    def failed(self, address: str) -> None:
        """Note that a wrong token was tried."""
        network, now = _network(address), self._now()
        self._paid_at[network] = max(self._paid_at.pop(network, now), now) + PAUSE
        self._all_paid_at = min(max(self._all_paid_at, now) + ALL_PAUSE, now + ALL_TRIES * ALL_PAUSE)
        while len(self._paid_at) > ADDRESSES:
            self._paid_at.popitem(last=False)

    def succeeded(self, address: str, digest: bytes) -> None:
        """Note that a right token came from there."""
        pair = (_network(address), digest)
        self._right[pair] = None
        self._right.move_to_end(pair)
        while len(self._right) > ADDRESSES:
            self._right.popitem(last=False)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _V6_PREFIX), strict=False))
