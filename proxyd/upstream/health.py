"""Whether an address works: the state that probes and traffic write, and that balancers read.

One ``Health`` belongs to one address of one target of one upstream, whatever number of services use it, and
lives as long as its target is configured with the same checks. A target that leaves and returns, or whose
checks change, starts anew as healthy, so none stays unhealthy because of a configuration that is gone.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from proxyd.errors import Kind
from proxyd.upstream.outliers import Outlier

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.model.healthchecks import Healthchecks


class State(enum.Enum):
    """Kong's names, as in its ``/upstreams/{upstream}/health``."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    HEALTHCHECKS_OFF = "HEALTHCHECKS_OFF"
    DNS_ERROR = "DNS_ERROR"


class HealthKey(NamedTuple):
    """What makes two healths the same: upstream's name, target as configured, ``host:port`` behind it."""

    group: str
    label: str
    address: str


# What a failure counts as; what is not listed says nothing about the target.
_COUNTED_AS = {
    Kind.CONNECT_REFUSED: "tcp",
    Kind.CONNECT_FAILED: "tcp",
    Kind.TLS_FAILED: "tcp",
    Kind.RESET: "tcp",
    Kind.BAD_RESPONSE: "tcp",
    Kind.CONNECT_TIMEOUT: "timeout",
    Kind.READ_TIMEOUT: "timeout",
    Kind.WRITE_TIMEOUT: "timeout",
}


def checks_on(checks: Healthchecks | None) -> bool:
    """Whether anything could ever make a target unhealthy."""
    if checks is None:
        return False
    active, passive = checks.active, checks.passive.unhealthy
    return bool(
        active.healthy.interval
        or active.unhealthy.interval
        or passive.tcp_failures
        or passive.timeouts
        or passive.http_failures
    )


class Health:
    """State and counters of one address.

    A success clears the failures and a failure clears the successes; a count matters only against the state
    that it argues with. Active and passive observations share the counts, as in Kong.
    """

    __slots__ = ("_listeners", "checks", "clean", "failures", "healthy", "key", "on", "outlier", "successes")

    def __init__(self, key: HealthKey, checks: Healthchecks | None) -> None:
        self.key = key
        self.checks = checks
        self.on = checks_on(checks)
        self.healthy = True
        self.clean = True  # healthy with no failure counted: a success changes nothing
        self.successes = 0
        self.failures: dict[str, int] = {}
        self.outlier = Outlier()
        self._listeners: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Health {self.key.label} at {self.key.address} {self.state.value}>"

    @property
    def state(self) -> State:
        """Name the state as Kong does."""
        if not self.on and self.healthy:
            return State.HEALTHCHECKS_OFF
        return State.HEALTHY if self.healthy else State.UNHEALTHY  # without checks, somebody has said so

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` at each change of state."""
        self._listeners.append(listener)

    def unlisten(self, listener: Callable[[], None]) -> None:
        """Stop calling it."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    # --- what is learnt --------------------------------------------------------------------------------------

    def success(self, threshold: int) -> None:
        """Count a success; ``threshold`` in a row restore an unhealthy target, 0 never does."""
        self.failures.clear()
        if self.healthy:
            self.clean = True
            return
        self.successes += 1
        if threshold and self.successes >= threshold:
            self._turn(healthy=True)

    def failure(self, counter: str, threshold: int) -> None:
        """Count a failure under ``http``, ``tcp`` or ``timeout``; ``threshold`` of them suffice, 0 never do."""
        self.successes = 0
        if not self.healthy or not threshold:
            return
        self.clean = False
        count = self.failures[counter] = self.failures.get(counter, 0) + 1
        if count >= threshold:
            self._turn(healthy=False)

    def mark(self, *, healthy: bool) -> None:
        """Take somebody's word for it, with no count left over; checks go on from there."""
        self._turn(healthy=healthy)

    def _turn(self, *, healthy: bool) -> None:
        self.healthy = self.clean = healthy
        self.successes = 0
        self.failures.clear()
        self.changed()

    def changed(self) -> None:
        """Have listeners look again."""
        for listener in tuple(self._listeners):
            listener()


class Passive:
    """What traffic tells about a target, by the rules of one upstream."""

    __slots__ = ("_bad", "_good", "_http", "_restore", "_thresholds")

    def __init__(self, checks: Healthchecks) -> None:
        passive = checks.passive
        unhealthy = passive.unhealthy
        # Checks of type tcp look at connections only.
        self._http = passive.type != "tcp"
        self._good = frozenset(passive.healthy.http_statuses)
        self._bad = frozenset(unhealthy.http_statuses)
        self._restore = passive.healthy.successes
        self._thresholds = {
            "http": unhealthy.http_failures,
            "tcp": unhealthy.tcp_failures,
            "timeout": unhealthy.timeouts,
        }

    def answered(self, health: Health, status: int) -> None:
        """Count an answer."""
        if not self._http:
            return
        if status in self._good:
            if not health.clean:
                health.success(self._restore)
        elif status in self._bad:
            health.failure("http", self._thresholds["http"])

    def failed(self, health: Health, kind: Kind) -> None:
        """Count a failure to connect or to get an answer."""
        counter = _COUNTED_AS.get(kind)
        if counter is not None:
            health.failure(counter, self._thresholds[counter])
