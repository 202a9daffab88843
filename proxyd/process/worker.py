"""One process of the gateway: assembled from a configuration, started, reloaded and stopped.

The order of ``start`` is the order of need: what requests stand on comes first, the listeners last. ``stop``
goes the other way and works after a half start.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxyd.admin.audit.auditor import Auditor
from proxyd.admin.servers import start_servers
from proxyd.apps.host import Apps
from proxyd.clock import Clock, DeadlineWheel
from proxyd.control.status import status_app
from proxyd.database.uses import SOON, Uses
from proxyd.downstream.listener import Connections, Listener
from proxyd.errors import ConfigError, Place, Problem
from proxyd.gateway.forwarded import TrustedIPs
from proxyd.gateway.tasks import Tasks
from proxyd.process import assemble
from proxyd.process.administered import Administered, Texts
from proxyd.process.checks import own_health
from proxyd.process.drain import Drain
from proxyd.process.handling import make_asker, make_handler, make_telemetry
from proxyd.process.overload import make_overload, watch_loop
from proxyd.process.reports import Reports, consumer_labels
from proxyd.process.retired import Retired
from proxyd.process.seen import Seen
from proxyd.process.tls import Tls
from proxyd.telemetry.admin_families import AdminCounts
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.source import ConfigState
from proxyd.telemetry.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.database.live import Live
    from proxyd.database.uses import Keeper
    from proxyd.gateway.snapshot import Snapshot
    from proxyd.model.load import Loaded
    from proxyd.model.settings import Settings
    from proxyd.overload.control import Overload
    from proxyd.process.inherited import Given
    from proxyd.process.tls import Material

log = get_logger("worker")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration that could take over now. Where it does not, its ``snapshot`` has to be stopped."""

    loaded: Loaded
    material: Material
    snapshot: Snapshot


def why_refused(error: Exception) -> list[Problem]:
    """Return why a configuration was not taken over; what nobody has foreseen goes to the log."""
    if isinstance(error, ConfigError):
        return error.problems
    log.crit("reload failed", exc_info=error)
    return [Problem(Place("configuration"), "", f"not loaded: {type(error).__name__}, see the event log")]


def changed_settings(before: Settings, after: Settings) -> list[str]:
    """Name the settings that differ: they take effect with a restart."""
    names = type(after).model_fields.keys() - {"declarative_config", "key_pepper"}
    return sorted(name for name in names if getattr(before, name) != getattr(after, name))


def _crashed(error: BaseException) -> None:
    log.crit("a task failed", exc_info=error)


class Worker(Seen):
    """A running gateway. ``load`` reads the configuration anew for a reload; it may take seconds.

    ``texts`` is for the admin listener, which shows the configuration as it was written, and takes another one.
    ``given`` are sockets that are there already (``process.inherited``); ``counters`` is the descriptor of the file in
    which it counts with others, where the settings name none, ``under_way`` that of the one for requests under way, and
    ``figures`` that of the file in which its own figures stand for its master. One of several has a ``name``.
    """

    def __init__(
        self,
        loaded: Loaded,
        load: Callable[[], Loaded],
        clock: Clock | None = None,
        texts: Texts | None = None,
        *,
        given: Given | None = None,
        database: Live | None = None,
        keeper: Keeper | None = None,
        counters: int | None = None,
        figures: int | None = None,
        under_way: int | None = None,
        name: str = "",
    ) -> None:
        self.settings: Settings = loaded.settings
        self.addresses: list[str] = []
        self.status_addresses: list[str] = []
        self.admin_addresses: list[str] = []
        self._loaded = loaded
        self._load = load
        self._texts = texts or Texts()
        self._given = given or {}
        self.database = database
        self.uses = Uses(database.store) if database is not None else Uses(keeper, SOON)
        self._counters = (counters, under_way)
        self.reports = Reports(figures)
        self._name = name
        self._clock = clock or Clock()
        self.config = ConfigState(self._clock)
        self.admin_counts = AdminCounts()
        self.auditor = Auditor(self._clock)
        self._not_ready = "starting"
        self._reloading = asyncio.Lock()
        self._started = contextlib.AsyncExitStack()  # what is to be ended, the last begun first
        self._snapshot: Snapshot | None = None
        self._overload: Overload | None = None
        self.listener: Listener | None = None
        self._drain: Drain | None = None
        self.tls = Tls(self.settings, self._clock)

    def __repr__(self) -> str:
        return f"<Worker {self._not_ready or 'ready'} {self._snapshot!r}>"

    # --- start -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to serve; raises ConfigError where the configuration or the machine does not allow it."""
        settings, clock, begun = self.settings, self._clock, self._started
        loop = asyncio.get_running_loop()
        begun.push_async_callback(self.reports.stop)
        self.telemetry = make_telemetry(settings, clock, loop, self.reports.journal, self._name, begun)
        begun.callback(self.telemetry.close)
        begun.push_async_callback(self.telemetry.logs.stop)
        self.tail = Tail(self.telemetry, clock, loop)
        self._wheel = DeadlineWheel(clock, loop)
        begun.callback(self._wheel.close)
        self._overload = make_overload(settings, clock)
        begun.callback(watch_loop(self.telemetry, loop, clock, self._overload))
        self._tasks = Tasks(_crashed)
        begun.push_async_callback(self._tasks.stop)
        self._apps = Apps(settings.apps, self._groups)
        begun.push_async_callback(self._apps.stop)
        await self._apps.start(self._loaded.configuration.places)
        self._registry = assemble.make_registry(settings, self._wheel, self._apps)
        self._resolver = assemble.make_resolver(settings, clock)
        trusted = TrustedIPs(settings.trusted_ips)
        self.clients = Connections(
            self._wheel, settings.worker_connections, trusted, from_preface=assemble.reads_preface(settings)
        )
        self._retired = Retired(self.clients, settings.shutdown_timeout)
        self._counting = assemble.make_counting(settings, *self._counters)
        begun.callback(self._counting.close)
        self._key_sets = assemble.make_key_sets(settings, clock)
        self._asker = make_asker(settings, clock, self._tasks)
        self._snapshot = await self._compile(self._loaded)
        begun.push_async_callback(self._stop_snapshot)
        self._handler = make_handler(
            self._snapshot, settings, clock, self._tasks, self.telemetry, trusted, self._asker, self._overload
        )
        self.tls.take(await self.tls.load(self._loaded))
        context = self.tls.front.context if self.tls.front is not None else None
        self.status_addresses, self.admin_addresses = await start_servers(
            status_app(self.telemetry, self, own_health(self._loaded, self.telemetry, clock, begun)),
            Administered(self, self._texts),
            context,
            self._given,
            self._started,
        )
        self.reports.start(self.telemetry, self, self._loaded)
        self.listener = Listener(self.clients, self._handler, assemble.client_limits(settings))
        if self._overload is not None:
            self._overload.let_in = self.listener.let_in
        self._drain = Drain(self.clients, self.listener, settings.drain_grace, self.tls.handshakes)
        given = self._given.get("proxy_listen")
        self.addresses = await self.listener.start(settings.proxy_listen, context, given)
        begun.push_async_callback(self.tls.stop)
        self.tls.start(lambda: self._loaded, self._renew)
        self.config.loaded(self._loaded.hash)
        self._not_ready = ""
        if self.database is not None:
            self.database.start(lambda text: self.change(lambda: self._texts.make(text)), begun)
        self.uses.start(begun, self._counting.used.take)
        event = "worker started" if self._name else "started"
        log.notice(event, listen=self.addresses, status=self.status_addresses, routes=self._routes())

    async def _compile(self, loaded: Loaded) -> Snapshot:
        # A large file takes a second to compile: requests go on meanwhile.
        snapshot = await asyncio.to_thread(
            assemble.make_snapshot,
            loaded,
            self.settings,
            self._registry,
            self._resolver,
            self._clock,
            self.telemetry,
            self.config.generation + 1,
            self._counting,
            self._key_sets,
            self._overload,
            self._asker,
            not self._name,
        )
        for warning in snapshot.balancers.warnings:
            log.warning(warning)
        try:
            await snapshot.start()
        except BaseException:
            await snapshot.stop()
            raise
        return snapshot

    def _groups(self, consumer: str) -> tuple[str, ...]:
        return self._snapshot.consumers.groups(consumer) if self._snapshot is not None else ()

    def _routes(self) -> int:
        return len(self._snapshot.routes) if self._snapshot is not None else 0

    # --- reload ----------------------------------------------------------------------------------------------

    async def reload(self) -> bool:
        """Take the file's present content over, or keep what runs where it is refused; true for the former."""
        try:
            await self.change(self._load)
        except ConfigError:
            return False
        return True

    async def change(self, load: Callable[[], Loaded]) -> Loaded:
        """Take over what ``load`` returns, or raise ConfigError with what runs going on."""
        async with self._reloading:
            if self._not_ready:
                raise ConfigError([Problem(Place("configuration"), "", f"not loaded: {self._not_ready}")])
            try:
                prepared = await self.prepare(await asyncio.to_thread(load))
            except Exception as error:
                problems = why_refused(error)
                self.config.refused(problems)
                log.error("reload refused", problems=[str(problem) for problem in problems])  # noqa: TRY400  # no traceback
                raise ConfigError(problems) from error
            await self._take_over(prepared)
            return prepared.loaded

    @property
    def changing(self) -> bool:
        """Whether a configuration is being loaded right now."""
        return self._reloading.locked()

    @property
    def loaded(self) -> Loaded:
        """The configuration that runs."""
        return self._loaded

    async def prepare(self, loaded: Loaded) -> Prepared:
        """Make all that a configuration needs, beside the one that runs; raises ConfigError."""
        material = await self.tls.load(loaded)
        return Prepared(loaded, material, await self._compile(loaded))

    async def commit(self, prepared: Prepared) -> None:
        """Let what was prepared take over; this does not fail."""
        async with self._reloading:  # not in the middle of a renewal, which would put the old one in again
            await self._take_over(prepared)

    async def _take_over(self, prepared: Prepared) -> None:
        await self._put_in(prepared)
        loaded = prepared.loaded
        self.config.loaded(loaded.hash)
        if self._name:  # of several, who asked for it tells
            return
        for warning in loaded.warnings:
            log.warning("configuration", problem=str(warning))
        if changed := changed_settings(self.settings, loaded.settings):
            log.warning("settings that take effect with a restart have changed", settings=changed)
        log.notice("reloaded", generation=self.config.generation, routes=self._routes())

    async def _put_in(self, prepared: Prepared) -> None:
        before, self._snapshot = self._snapshot, prepared.snapshot
        self._loaded = prepared.loaded
        self._handler.snapshot = prepared.snapshot
        self.tls.take(prepared.material)
        self._forget(prepared.snapshot, prepared.loaded)
        if before is not None:
            await self._retired.add(before)

    async def _renew(self) -> None:
        """Compile what runs anew, for the certificates in its files have changed; raises ConfigError."""
        async with self._reloading:
            await self._put_in(await self.prepare(self._loaded))

    def _forget(self, snapshot: Snapshot, loaded: Loaded) -> None:
        """Let go of what was counted of routes and consumers that are no more."""
        meters = [route.meter for route in snapshot.routes]
        self.telemetry.meters.retain(meters)
        self.telemetry.tallies.retain(meters, consumer_labels(loaded))
        self.telemetry.operations.retain(meters)
        self.reports.live(loaded)
        if self._overload is not None:
            self._overload.retain(snapshot.limits())

    async def upgrade(self) -> bool:
        """Refuse to take new code over: who manages one process alone starts it anew."""
        log.error("not upgraded", reason="there are no workers to replace: restart the process")
        return False

    def reopen_logs(self) -> None:
        """Go on in new log files, after rotation."""
        self.telemetry.reopen()
        self.auditor.reopen()

    # --- stop ------------------------------------------------------------------------------------------------

    async def stop(self, *, drain: float | None = None, delay: float = 0.0) -> None:
        """Stop accepting after ``delay``, let requests finish for ``drain`` seconds, end; works after a half start."""
        was_ready = not self._not_ready
        self._not_ready = "draining"
        if self._drain is not None:
            await self._drain.run(self.settings.shutdown_timeout if drain is None else drain, delay)
        async with self._reloading:  # one that is under way leaves nothing behind
            await self._started.aclose()
        if was_ready:
            log.notice("stopped")

    async def _stop_snapshot(self) -> None:
        await self._retired.stop()
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            await snapshot.stop()

    def cut(self) -> None:
        """Do not wait for requests any longer."""
        if self._drain is not None:
            self._drain.cut()

    def mark(self, upstream: str, target: str, address: str | None, *, healthy: bool) -> int:
        """Take somebody's word for the health of a target; return of how many of its addresses."""
        return self._registry.mark(upstream, target, address, healthy=healthy)
