"""The balancers of one generation of the configuration: built when it is compiled, started before it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from proxyd.crypto.certificate import TlsError, read_pem
from proxyd.errors import ConfigError, Place, Problem
from proxyd.upstream.addresses import join_port
from proxyd.upstream.balancer import Balancer
from proxyd.upstream.cluster import Cluster, TargetSpec, TargetState
from proxyd.upstream.memory import SCHEME, make_names
from proxyd.upstream.monitor import Monitor
from proxyd.upstream.outliers import Sweeper
from proxyd.upstream.probe import make_probe
from proxyd.upstream.tls import SYSTEM, TlsInputs, UpstreamContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.clock import Clock
    from proxyd.model.entities import Configuration, Service, Target, Upstream
    from proxyd.upstream.names import Resolver
    from proxyd.upstream.registry import Registry

SECURE = frozenset({"https", "wss", "grpcs"})


class TlsSettings(Protocol):
    """The settings that matter here."""

    @property
    def tls_verify(self) -> bool:
        """Whether services that do not say verify certificates."""

    @property
    def trusted_certificate(self) -> str:
        """Path of trusted CA certificates, or ``system``."""

    @property
    def apps(self) -> Mapping[str, str]:
        """The applications mounted, by name."""


class Balancers:
    """One balancer per upstream or host and way of speaking to it; services that agree in both share one.

    ``warnings`` are sentences for the log about what is done otherwise than configured.
    """

    def __init__(self, configuration: Configuration, settings: TlsSettings, registry: Registry) -> None:
        self.warnings: list[str] = []
        self._configuration = configuration
        self._targets: dict[str, list[Target]] = {}
        for target in configuration.targets.values():
            self._targets.setdefault(target.upstream, []).append(target)
        self._settings = settings
        self._registry = registry
        self._clusters: dict[str, Cluster] = {}
        self._balancers: dict[tuple[Cluster, UpstreamContext | None], Balancer] = {}
        self._services: dict[str, Balancer] = {}
        self._names = make_names()
        self._monitors: list[Monitor | Sweeper] = []
        self._contexts: set[UpstreamContext] = set()

    def __repr__(self) -> str:
        return f"<Balancers clusters={len(self._clusters)} services={len(self._services)}>"

    # --- asking ----------------------------------------------------------------------------------------------

    def for_service(self, service: Service) -> Balancer:
        """Return the service's balancer."""
        return self._services[service.id]

    def for_upstream(self, upstream: Upstream) -> Cluster:
        """Return what stands behind an upstream."""
        return self._clusters[upstream.name]

    def states(self) -> list[TargetState]:
        """List the health of every address of every upstream, for status and metrics."""
        return [row for cluster in self._clusters.values() if cluster.name for row in cluster.states()]

    # --- life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to follow DNS and to probe; start a new generation before the old one is stopped.

        Waits for no answer: IP addresses, the hosts file and names that the old generation has resolved are
        known at once.
        """
        for balancer in self._balancers.values():
            balancer.start()
        for cluster in self._clusters.values():
            cluster.start()
        for monitor in self._monitors:
            await monitor.start()
        # From here on, what only earlier generations used is of no use to a later one.
        self._registry.contexts.keep(self._contexts)

    async def stop(self) -> None:
        """Stop probing and following, and let go of the peers. Harmless after half a start."""
        for monitor in self._monitors:
            await monitor.stop()
        for balancer in self._balancers.values():
            balancer.stop()
        for cluster in self._clusters.values():
            cluster.stop()

    # --- building --------------------------------------------------------------------------------------------

    def build(self, resolver: Resolver, clock: Clock) -> None:
        """Make everything; raises ConfigError with every problem."""
        problems: list[Problem] = []
        places = self._configuration.places
        for upstream in self._configuration.upstreams.values():
            try:
                self._add_upstream(upstream, resolver, clock)
            except (TlsError, ValueError) as error:
                place = places.get(upstream.id, Place("upstreams"))
                problems.append(Problem(place, f"upstreams[{upstream.name}]", str(error)))
        for service in self._configuration.services.values():
            try:
                self._add_service(service, resolver, clock)
            except (TlsError, ValueError) as error:
                name = service.name or service.id
                place = places.get(service.id, Place("services"))
                problems.append(Problem(place, f"services[{name}]", str(error)))
        if problems:
            raise ConfigError(problems)

    def _add_upstream(self, upstream: Upstream, resolver: Resolver, clock: Clock) -> None:
        targets = [
            TargetSpec.parse(target.target, target.weight) for target in self._targets.get(upstream.id, ())
        ]
        cluster = Cluster(upstream.name, targets, upstream, resolver, self._registry, clock)
        if cluster.outliers is not None:
            self._monitors.append(Sweeper(cluster.outliers))
        self._clusters[upstream.name] = cluster
        checks = upstream.healthchecks.active
        if not (checks.healthy.interval or checks.unhealthy.interval):
            return
        if checks.type in {"grpc", "grpcs"}:
            self.warnings.append(
                f"upstream {upstream.name}: active checks of type {checks.type} are made as tcp"
            )
        probe = make_probe(
            checks,
            upstream.host_header,
            lambda: self._context(checks.https_verify_certificate, None, (), upstream.client_certificate),
        )
        self._monitors.append(Monitor(cluster, checks, probe))

    def _add_service(self, service: Service, resolver: Resolver, clock: Clock) -> None:
        if service.protocol == SCHEME:
            cluster = self._mounted(service)
        elif (found := self._clusters.get(service.host)) is not None:
            cluster = found
        else:
            cluster = self._host(service, resolver)
        upstream = cluster.upstream
        tls = None
        if service.protocol in SECURE:
            verify = self._settings.tls_verify if service.tls_verify is None else service.tls_verify
            own = service.client_certificate or (upstream.client_certificate if upstream else None)
            tls = self._context(verify, service.tls_verify_depth, service.ca_certificates or (), own)
        key = (cluster, tls)
        balancer = self._balancers.get(key)
        if balancer is None:
            balancer = self._balancers[key] = Balancer(cluster, tls, self._registry, clock)
        self._services[service.id] = balancer

    def _mounted(self, service: Service) -> Cluster:
        name = service.host
        if name not in self._settings.apps:
            raise ValueError(f"no application is mounted as '{name}': proxyd.apps names them")
        label = f"{SCHEME}://{name}"
        cluster = self._clusters.get(label)
        if cluster is None:
            target = TargetSpec(label, name, 0, memory=True)
            cluster = self._clusters[label] = Cluster("", [target], None, self._names, self._registry)
        return cluster

    def _host(self, service: Service, resolver: Resolver) -> Cluster:
        # Behind its port, a host cannot be mistaken for an upstream's name.
        name = join_port(service.host.strip("[]"), service.port)
        key = f"//{name}"
        cluster = self._clusters.get(key)
        if cluster is None:
            cluster = self._clusters[key] = Cluster(
                "", [TargetSpec.parse(name)], None, resolver, self._registry
            )
        return cluster

    def _context(
        self, verify: bool, depth: int | None, authorities: tuple[str, ...], certificate: str | None
    ) -> UpstreamContext:
        configuration = self._configuration
        trusted: tuple[str, ...] = ()
        if verify:
            trusted = tuple(read_pem(configuration.ca_certificates[name].cert) for name in authorities)
            if not trusted and self._settings.trusted_certificate not in {"", SYSTEM}:
                trusted = (read_pem(self._settings.trusted_certificate),)
        own = configuration.certificates[certificate] if certificate else None
        context = self._registry.contexts.get(
            TlsInputs(
                verify,
                depth if verify else None,
                trusted,
                read_pem(own.cert) if own else "",
                read_pem(own.key) if own else "",
            )
        )
        self._contexts.add(context)
        return context


def build_balancers(
    configuration: Configuration, settings: TlsSettings, registry: Registry, resolver: Resolver, clock: Clock
) -> Balancers:
    """Build the balancers of a configuration; raises ConfigError. Nothing is held or running until ``start``."""
    balancers = Balancers(configuration, settings, registry)
    balancers.build(resolver, clock)
    return balancers
