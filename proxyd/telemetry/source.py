"""What status and metrics ask of the running gateway, beyond what requests have left in their meters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from proxyd.telemetry.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from proxyd.clock import Clock
    from proxyd.errors import Problem
    from proxyd.telemetry.admin_families import AdminCounts


@dataclass(frozen=True, slots=True)
class ConnectionCounts:
    """Client connections: ``accepted``, ``refused`` and ``malformed`` since the start, the others now.

    ``answering`` are those with a request under way; ``tunnels`` of them have been upgraded. ``limit`` is how many
    there may be.
    """

    accepted: int = 0
    refused: int = 0
    open: int = 0
    answering: int = 0
    tunnels: int = 0
    malformed: int = 0
    limit: int = 0

    @property
    def in_flight(self) -> int:
        """Requests under way, tunnels left out."""
        return max(self.answering - self.tunnels, 0)

    @property
    def idle(self) -> int:
        """Connections that wait for a request, or send one."""
        return max(self.open - self.answering, 0)


@dataclass(frozen=True, slots=True)
class TargetState:
    """One address behind an upstream.

    ``upstream`` is its name, empty for a service that names a host; ``target`` is ``host:port`` as configured,
    ``address`` what it resolved to; ``health`` is HEALTHY, UNHEALTHY, HEALTHCHECKS_OFF or DNS_ERROR. One that is
    ``ejected`` gets no requests for a while. ``weight`` is its share of an upstream's load.
    """

    upstream: str
    target: str
    address: str
    health: str
    in_flight: int = 0
    connections: int = 0
    ejected: bool = False
    weight: int = 0

    @property
    def available(self) -> bool:
        """Whether requests are sent there."""
        return not self.ejected and self.health in {"HEALTHY", "HEALTHCHECKS_OFF"}


@dataclass(frozen=True, slots=True)
class ProtectionState:
    """How one upstream is kept from failing whole.

    ``circuit`` is 0 for closed, 1 for half-open, 2 for open, None where there is none. Since the start, ``ejections``
    counts by target and reason, ``rejected`` by reason the requests that were not sent, and ``exhausted`` the further tries
    that there was no budget for.
    """

    upstream: str
    ejections: Mapping[tuple[str, str], int] = field(default_factory=dict)
    circuit: int | None = None
    rejected: Mapping[str, int] = field(default_factory=dict)
    exhausted: int = 0

    def summary(self) -> dict[str, Any]:
        """Return it as JSON can hold it, for status."""
        return {
            "upstream": self.upstream,
            "circuit": self.circuit,
            "rejected": dict(self.rejected),
            "exhausted": self.exhausted,
            "ejections": sum(self.ejections.values()),
        }


@dataclass(frozen=True, slots=True)
class CertificateState:
    """One certificate of the configuration: ``use`` is server or authority, ``not_after`` seconds since the epoch.

    ``certificate`` says where it is configured, ``name`` whom it is for.
    """

    use: str
    certificate: str
    name: str
    not_after: float


@dataclass(slots=True)
class TlsState:
    """The certificates that are in use, and how often changed files were taken over, or were no good."""

    certificates: tuple[CertificateState, ...] = ()
    succeeded: int = 0
    failed: int = 0
    handshake_failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeySetState:
    """The published keys of a token issuer: how many there are, and fetches since the start.

    ``last_success`` is seconds since the epoch, 0.0 for never.
    """

    uri: str
    keys: int
    succeeded: int
    failed: int
    last_success: float


@dataclass(frozen=True, slots=True)
class LimitCounts:
    """How counting for limits went, in requests since the start.

    ``strangers`` had no counter of their own, because there was no room; ``fallbacks`` were counted nearer by than
    they should have been, by what was away. ``redis`` tells of each server whether it can be counted in.
    """

    strangers: int = 0
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    redis: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceLoad:
    """How many requests may wait for a service to begin its answer, and how many do."""

    service: str
    limit: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class OverloadState:
    """What overload control does: whether requests are shed now because of the gateway's own line, and how late it is.

    ``queue`` is how long requests may have stood in it, ``shed`` the requests that were refused since the start, by
    reason and priority.
    """

    shedding: bool
    delay: float
    queue: Histogram
    shed: Mapping[tuple[str, str], int]
    services: Sequence[ServiceLoad]

    def summary(self) -> dict[str, Any]:
        """Return what can be written down and put together with that of other processes."""
        return {
            "shedding": self.shedding,
            "delay": self.delay,
            "shed": [(reason, priority, count) for (reason, priority), count in self.shed.items()],
            "services": [(one.service, one.limit, one.in_flight) for one in self.services],
        }


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """Whether the database of entities answers, ``since`` when that is so (seconds since the epoch), and why it does not.

    ``revision`` is the newest that is known of, ``applied`` the one that this machine runs; ``writes`` is how long changes took.
    """

    reachable: bool = True
    since: float = 0.0
    error: str = ""
    revision: int = 0
    applied: int = 0
    writes: Histogram = field(default_factory=Histogram)


class ConfigState:
    """Which configuration runs, and what became of the last attempt to load one.

    ``generation`` counts those that were taken over; ``problems`` are the lines of the last refusal, each with
    its file and place, and empty after a success. Times are seconds since the epoch, 0.0 for never.
    """

    __slots__ = (
        "_time",
        "digest",
        "failed",
        "generation",
        "last_attempt",
        "last_success",
        "problems",
        "succeeded",
    )

    def __init__(self, clock: Clock) -> None:
        self._time = clock.time
        self.generation = 0
        self.digest = ""
        self.succeeded = 0
        self.failed = 0
        self.last_attempt = 0.0
        self.last_success = 0.0
        self.problems: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<ConfigState generation={self.generation} problems={len(self.problems)}>"

    @property
    def last_succeeded(self) -> bool:
        """Whether the last attempt was a success."""
        return self.last_attempt > 0.0 and not self.problems

    def loaded(self, digest: str) -> None:
        """Note that a configuration has been taken over; ``digest`` is its SHA-256 in hexadecimal."""
        self.generation += 1
        self.digest = digest
        self.succeeded += 1
        self.problems = ()
        self.last_attempt = self.last_success = self._time()

    def refused(self, problems: Iterable[Problem]) -> None:
        """Note that a configuration was refused; what ran before goes on."""
        self.failed += 1
        self.problems = tuple(str(problem) for problem in problems) or ("unknown reason",)
        self.last_attempt = self._time()


class Followed(Protocol):
    """A database whose contents this machine runs."""

    @property
    def state(self) -> DatabaseState:
        """How it fares."""


class Configured(Protocol):
    """What runs a configuration, and is administered."""

    @property
    def config(self) -> ConfigState:
        """The state of the configuration."""

    @property
    def admin_counts(self) -> AdminCounts:
        """What the admin listener has seen."""


class Ready(Protocol):
    """What is ready for traffic, or is not."""

    def not_ready(self) -> str:
        """Say why no traffic should come here now (starting, draining), or nothing where it may."""


class Following(Protocol):
    """What may keep its entities in a database."""

    @property
    def database(self) -> Followed | None:
        """The database, where there is one."""


class StatusSource(Configured, Ready, Following, Protocol):
    """What the runtime tells about itself; cheap calls, made on every scrape."""

    @property
    def tls_state(self) -> TlsState:
        """The state of certificates and handshakes."""

    def connections(self) -> ConnectionCounts:
        """Count client connections."""

    def targets(self) -> Iterable[TargetState]:
        """List every address that requests can be sent to."""

    def protections(self) -> Iterable[ProtectionState]:
        """List the upstreams that are protected."""

    def key_sets(self) -> Iterable[KeySetState]:
        """List the addresses that keys are fetched from."""

    def limits(self) -> LimitCounts:
        """Tell how counting for limits goes."""

    def overload(self) -> OverloadState | None:
        """Tell what overload control does, or None where it is off."""
