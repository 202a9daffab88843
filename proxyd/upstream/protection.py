"""What outlasts a reload of how an upstream is protected: one for each upstream that has a ``resilience``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

from proxyd.errors import GatewayError, Kind
from proxyd.upstream.circuit import AGAIN, STATES, Circuit
from proxyd.upstream.openings import Openings

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from proxyd.exchange import Exchange
    from proxyd.model.resilience import Limits, Resilience, RetryBudget
    from proxyd.upstream.health import HealthKey
    from proxyd.upstream.peer import Peer

RELIEF = frozenset(
    {"target readmitted", "circuit half-open", "circuit closed"}
)  # events that tell of no trouble


class Tell(Protocol):
    """Who hears of what happens: a log of events."""

    def __call__(self, event: str, **values: Any) -> None:
        """Take an event with its values."""


def unheard(event: str, **values: Any) -> None:
    """Tell nobody."""


class Protection:
    """How one upstream is kept from failing whole. It lets tries in, hears what became of them, and lets them out.

    ``active`` counts tries under way, those that wait for a connection included, and ``retries`` the further ones among
    them. ``ejections`` counts by target and reason, ``rejected`` by reason, ``exhausted`` retries that were not made.
    """

    __slots__ = (
        "_budget",
        "_limits",
        "_now",
        "_tell",
        "active",
        "circuit",
        "ejections",
        "exhausted",
        "name",
        "openings",
        "rejected",
        "retries",
    )

    def __init__(self, name: str, now: Callable[[], float], tell: Tell = unheard) -> None:
        self.name = name
        self.active = 0
        self.retries = 0
        self.exhausted = 0
        self.circuit: Circuit | None = None
        self.openings = Openings(self._full)
        self.ejections: dict[tuple[str, str], int] = {}
        self.rejected: dict[str, int] = {}
        self._limits: Limits | None = None
        self._budget: RetryBudget | None = None
        self._now = now
        self._tell = tell

    def __repr__(self) -> str:
        return f"<Protection {self.name} active={self.active} {self.circuit!r} {self.openings!r}>"

    def configure(self, resilience: Resilience) -> None:
        """Follow these rules from now on; a circuit stays in its state, and what is under way is counted on."""
        self._limits = self.openings.rules = resilience.limits
        self._budget = resilience.retry_budget
        rules = resilience.circuit_breaker
        if rules is None:
            self.circuit = None
        elif self.circuit is None:
            self.circuit = Circuit(rules, self._now, self._turned)
        elif self.circuit.rules != rules:
            self.circuit.configure(rules)

    @property
    def circuit_state(self) -> int | None:
        """The state of the circuit, as ``circuit`` numbers them."""
        return self.circuit.state if self.circuit is not None else None

    # --- for each try ----------------------------------------------------------------------------------------

    def admit(self) -> None:
        """Raise GatewayError where a try may not be made now."""
        if self.circuit is not None:
            wait = self.circuit.wait()
            if wait > 0.0:
                raise self._refuse(Kind.CIRCUIT_OPEN, STATES[self.circuit.state].replace("-", "_"), wait)
        if self._limits is not None and self.active >= self._limits.max_requests:
            raise self._full("max_requests")

    def enter(self, exchange: Exchange) -> None:
        """Let a try in that may be made."""
        self.active += 1
        exchange.asked = 0.0  # by this try
        exchange.circuit = self.circuit.enter() if self.circuit is not None else 0

    def judge(self, exchange: Exchange, latency: float, *, failed: bool) -> None:
        """Learn what became of a try, once."""
        epoch = exchange.circuit
        if epoch > 0 and self.circuit is not None:
            exchange.circuit = -epoch
            self.circuit.judge(epoch, latency, failed=failed)

    def leave(self, exchange: Exchange) -> None:
        """Let a try out. One whose client did not wait for the answer was as slow as that took."""
        self.active -= 1
        if exchange.retrying:
            self.retried(exchange)
        circuit = self.circuit
        if circuit is not None and exchange.circuit:
            epoch = abs(exchange.circuit)
            circuit.leave(epoch)
            if exchange.circuit > 0 and exchange.asked:
                waited = self._now() - exchange.asked
                if waited > circuit.rules.slow_after > 0.0:
                    circuit.judge(epoch, waited, failed=False)
        exchange.circuit = 0
        self.openings.freed()

    def retry(self, exchange: Exchange) -> bool:
        """Whether a request whose try has failed may have another one; counts that, until it is over."""
        if self._budget is not None:
            share = self._budget.budget_percent * (self.active + 1) / 100  # the request itself is under way
            most = max(share, self._budget.min_retry_concurrency)
        elif self._limits is not None:
            most = self._limits.max_retries
        else:
            return True
        if self.retries + 1 > most:
            self.exhausted += 1
            return False
        self.retries += 1
        exchange.retrying = True
        return True

    def retried(self, exchange: Exchange) -> None:
        """Count a further try as over, or as never begun."""
        self.retries -= 1
        exchange.retrying = False

    def _full(self, reason: str) -> GatewayError:
        return self._refuse(Kind.OVERLOADED, reason, AGAIN)

    def _refuse(self, kind: Kind, reason: str, seconds: float) -> GatewayError:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
        return GatewayError(kind, f"upstream {self.name}: {reason}", math.ceil(seconds))

    # --- what happens ----------------------------------------------------------------------------------------

    def _turned(self, circuit: Circuit, reason: str) -> None:
        window = circuit.window
        counts = {"requests": window.total, "failed": window.errors, "slow": window.slow}
        self._tell(f"circuit {STATES[circuit.state]}", upstream=self.name, reason=reason, **counts)

    def ejected(self, key: HealthKey, reason: str, seconds: float) -> None:
        """Count an ejection of an address, and tell of it."""
        entry = (key.label, reason)
        self.ejections[entry] = self.ejections.get(entry, 0) + 1
        self._tell(
            "target ejected",
            upstream=self.name,
            target=key.label,
            address=key.address,
            reason=reason,
            seconds=seconds,
        )

    def readmitted(self, key: HealthKey, reason: str) -> None:
        """Tell that an address is back."""
        self._tell(
            "target readmitted", upstream=self.name, target=key.label, address=key.address, reason=reason
        )


class Guarded:
    """Picks for tries that are let in, by the algorithm that there is."""

    __slots__ = ("_pick", "_protection")

    def __init__(self, protection: Protection, pick: Callable[[Exchange, Container[Peer]], Peer]) -> None:
        self._protection = protection
        self._pick = pick

    def pick(self, exchange: Exchange, tried: Container[Peer]) -> Peer:
        """Choose a peer, and let the try in; raises GatewayError."""
        self._protection.admit()
        peer = self._pick(exchange, tried)
        self._protection.enter(exchange)
        return peer
