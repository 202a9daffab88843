"""Settings and configuration to parts: the translations that a worker is put together with."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxyd.apps.host import Apps
from proxyd.clock import Clock, DeadlineWheel
from proxyd.crypto.certificate import TlsError, read_pem
from proxyd.downstream.connection import Limits
from proxyd.errors import ConfigError, Place, Problem
from proxyd.gateway.asking import Services
from proxyd.gateway.paths import Targets
from proxyd.gateway.snapshot import Snapshot, compile_snapshot, instantiate
from proxyd.http1.parser import HeadLimits
from proxyd.issuers.keysets import KeySets
from proxyd.model.settings import PROXY_PROTOCOL
from proxyd.plugin import Kit
from proxyd.plugins import BY_NAME
from proxyd.process.authorities import authorities_of, authority_digests
from proxyd.process.checks import OneProcess, looks_of
from proxyd.process.shipping import make_shipping
from proxyd.process.timings import times_plugins
from proxyd.process.tls import load_material
from proxyd.store.consumers import Consumers
from proxyd.store.counting import Counting, Redises
from proxyd.store.shared import SharedCounters
from proxyd.store.under_way import LocalUnderWay, SharedUnderWay
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.record import Telemetry
from proxyd.upstream.connector import dial
from proxyd.upstream.dnsclient import DnsClient
from proxyd.upstream.factory import build_balancers
from proxyd.upstream.names import CacheTimes, Resolver
from proxyd.upstream.pool import Pool, PoolLimits
from proxyd.upstream.protection import RELIEF
from proxyd.upstream.registry import Registry
from proxyd.upstream.tls import SYSTEM

if TYPE_CHECKING:
    from proxyd.gateway.asking import Asker
    from proxyd.model.load import Loaded
    from proxyd.model.redis import Redis
    from proxyd.model.settings import Settings
    from proxyd.overload.control import Overload
    from proxyd.store.under_way import UnderWay
    from proxyd.upstream.connector import Endpoint

log = get_logger("worker")
upstream_log = get_logger("upstream")


def head_limits(settings: Settings) -> HeadLimits:
    """Return what a request's head is held to; upstreams' heads are held to the same."""
    return HeadLimits(
        line=settings.client_max_request_line,
        size=settings.client_max_header_size,
        count=settings.client_max_header_count,
    )


def client_limits(settings: Settings) -> Limits:
    """Return what clients are held to."""
    return Limits(
        heads=head_limits(settings),
        body_size=settings.client_max_body_size,
        header_timeout=settings.client_header_timeout,
        body_timeout=settings.client_body_timeout,
        send_timeout=settings.send_timeout,
        keepalive_timeout=settings.keepalive_timeout,
        keepalive_requests=settings.keepalive_requests if settings.keepalive_timeout else 1,
        lingering_timeout=settings.lingering_timeout,
    )


def reads_preface(settings: Settings) -> bool:
    """Tell whether clients' addresses come from PROXY headers, and from no header of HTTP."""
    return settings.real_ip_header == PROXY_PROTOCOL


def make_registry(settings: Settings, wheel: DeadlineWheel, apps: Apps) -> Registry:
    """Return an empty registry of peers, whose pools follow the settings; some lead to mounted applications."""
    limits = PoolLimits(
        size=settings.upstream_keepalive_pool_size,
        max_requests=settings.upstream_keepalive_max_requests,
        idle_timeout=settings.upstream_keepalive_idle_timeout,
    )
    heads = head_limits(settings)

    def make_pool(endpoint: Endpoint) -> Pool:
        way = apps.dial if endpoint.memory else dial
        return Pool(endpoint, way, limits, heads, wheel)  # type: ignore[arg-type]  # as in the listener

    return Registry(make_pool, _tell_upstream)


def _tell_upstream(event: str, **values: Any) -> None:
    tell = upstream_log.notice if event in RELIEF else upstream_log.warning
    tell(event, **values)


def make_resolver(settings: Settings, clock: Clock) -> Resolver:
    """Return the resolver; raises ConfigError where a name server's address is none."""
    try:
        client = DnsClient(settings.dns_order, settings.dns_resolver, settings.dns_hostsfile)
    except ValueError as error:
        raise ConfigError([Problem(Place("dns_resolver"), "", str(error))]) from error
    times = CacheTimes(
        settings.dns_valid_ttl, settings.dns_stale_ttl, settings.dns_not_found_ttl, settings.dns_error_ttl
    )
    return Resolver(client, clock, times)


def make_snapshot(
    loaded: Loaded,
    settings: Settings,
    registry: Registry,
    resolver: Resolver,
    clock: Clock,
    telemetry: Telemetry,
    generation: int,
    counting: Counting,
    key_sets: KeySets,
    overload: Overload | None = None,
    asker: Asker | None = None,
    alone: bool = True,
) -> Snapshot:
    """Compile a configuration; nothing of it runs yet. Raises ConfigError."""
    configuration = loaded.configuration
    asked = Services(asker) if asker is not None else None
    consumers = Consumers(configuration, clock.time())
    kit = Kit(
        consumers,
        clock,
        counting,
        Targets(),
        telemetry.redactor,
        outputs=telemetry.logs,
        tallies=telemetry.tallies,
        key_sets=key_sets,
        deliveries=telemetry.deliveries,
        meters=telemetry.meters,
        schemas=telemetry.schemas,
        operations=telemetry.operations,
        caller=asked,
        authorities=authority_digests(loaded),
        used=counting.used,
        alone=alone,
    )
    return compile_snapshot(
        configuration,
        instantiate(configuration, loaded.plugin_configs, BY_NAME, kit),
        build_balancers(configuration, settings, registry, resolver, clock),
        telemetry,
        consumers,
        generation=generation,
        digest=loaded.hash,
        now=clock.now if times_plugins(settings) else None,
        overload=overload,
        asked=asked,
    )


def make_counting(
    settings: Settings, descriptor: int | None = None, under_way: int | None = None
) -> Counting:
    """Return where this process counts, with or without a file that others share; raises ConfigError.

    The file is the one in the settings, or what an open ``descriptor`` is of; ``under_way`` is that of the file in which
    requests under way are counted with others.
    """
    redis = Redises(_tell_redis, authorities_of(settings))
    together = _make_under_way(under_way)
    place = Path(settings.shared_memory) if settings.shared_memory else descriptor
    if place is None:
        return Counting(redis=redis, under_way=together)
    try:
        return Counting(SharedCounters(place, stuck=_tell_stuck), redis, together)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problem = Problem(Place("shared_memory"), "", f"{settings.shared_memory or 'its file'}: {reason}")
        raise ConfigError([problem]) from error


def _make_under_way(descriptor: int | None) -> UnderWay:
    if descriptor is None:
        return LocalUnderWay()
    try:
        return SharedUnderWay(descriptor)
    except OSError as error:  # many workers drain: this one counts for itself
        log.warning("requests under way are counted in this worker alone", reason=error.strerror)
        return LocalUnderWay()


def _tell_redis(endpoint: Redis, reason: str) -> None:
    if reason:
        log.warning("redis is away", redis=str(endpoint), reason=reason)
    else:
        log.notice("redis is back", redis=str(endpoint))


def make_key_sets(settings: Settings, clock: Clock) -> KeySets:
    """Return the sources of token issuers' keys, none yet; raises ConfigError.

    Their servers are held to what https backends are that verify.
    """
    return KeySets(clock, tls=client_tls(settings))


def client_tls(settings: Settings) -> ssl.SSLContext | None:
    """Return what servers that the gateway itself asks are verified with, None for what the system trusts.

    Raises ConfigError.
    """
    if settings.trusted_certificate == SYSTEM:
        return None
    try:
        return ssl.create_default_context(cadata=read_pem(settings.trusted_certificate))
    except (TlsError, ssl.SSLError) as error:
        raise ConfigError([Problem(Place("trusted_certificate"), "", str(error))]) from error


def _tell_stuck(stuck: bool) -> None:
    if stuck:
        log.warning("counters are held by a process that does not go on", setting="shared_memory")
    else:
        log.notice("counters are free again", setting="shared_memory")


async def rehearse(loaded: Loaded) -> tuple[Problem, ...]:
    """Make what a start would make, and start none of it; returns warnings.

    Raises ConfigError with all that is in the way.
    """
    clock, settings = Clock(), loaded.settings
    apps = Apps(settings.apps)
    registry = make_registry(settings, DeadlineWheel(clock, asyncio.get_running_loop()), apps)
    problems: list[Problem] = []
    warnings: tuple[Problem, ...] = ()
    try:
        warnings = load_material(loaded, settings, clock.time(), None).warnings
    except ConfigError as error:
        problems += error.problems
    try:
        resolver = make_resolver(settings, clock)
        key_sets = make_key_sets(settings, clock)
        telemetry = Telemetry(clock)
        make_snapshot(loaded, settings, registry, resolver, clock, telemetry, 1, Counting(), key_sets)
    except ConfigError as error:
        problems += error.problems
    try:
        looks_of(loaded, OneProcess(Telemetry(clock)))
        if settings.log_shipping is not None:
            make_shipping(settings.log_shipping, clock, for_good=False)
    except ConfigError as error:
        problems += error.problems
    try:
        await apps.load(loaded.configuration.places)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return warnings
