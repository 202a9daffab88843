"""The master: it binds, starts workers, hands them the configuration, and never sees a request.

It implements what ``process.life`` asks of a process, for all workers together.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import math
import os
from typing import TYPE_CHECKING

from proxyd.admin.audit.auditor import Auditor
from proxyd.admin.servers import start_servers
from proxyd.clock import Clock
from proxyd.control.crew import crew_app
from proxyd.database.uses import Uses
from proxyd.errors import ConfigError
from proxyd.master.administered import Administered
from proxyd.master.child import Order
from proxyd.master.crew import Crew
from proxyd.master.processes import ManyProcesses
from proxyd.master.reloading import reload
from proxyd.master.sockets import Sockets
from proxyd.master.watch import Watch
from proxyd.process.checks import start_health
from proxyd.process.shipping import start_shipping
from proxyd.process.tls import Tls
from proxyd.process.worker import why_refused
from proxyd.store import under_way
from proxyd.telemetry.admin_families import AdminCounts
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.fleet import Fleet
from proxyd.telemetry.source import ConfigState
from proxyd.telemetry.worker_families import WorkerCounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.database.live import Live
    from proxyd.master.child import Child
    from proxyd.model.load import Loaded
    from proxyd.model.settings import Settings
    from proxyd.process.inherited import Given

ROOM = 4  # processes per slot that can count what is under way together: one serves, others drain
REPORT_WAIT = 0.5  # seconds that workers get to answer for themselves

log = get_logger("master")


class Master:
    """``count`` workers as one gateway. ``read`` returns the text of the file called ``name`` anew; it may raise ConfigError.

    ``check`` makes a configuration of a text, or raises one: it is asked while no worker is there to say so, and by the admin
    listener.
    """

    def __init__(
        self,
        loaded: Loaded,
        text: str,
        name: str,
        read: Callable[[], str],
        check: Callable[[str], Loaded],
        count: int,
        clock: Clock | None = None,
        given: Given | None = None,
        database: Live | None = None,
    ) -> None:
        self.settings: Settings = loaded.settings
        self.counts = WorkerCounts()
        self.admin_counts = AdminCounts()
        self.status_addresses: list[str] = []
        self._clock = clock or Clock()
        self.auditor = Auditor(self._clock)
        self.config = ConfigState(self._clock)
        self._text = self._base = text
        self._name = name
        self._read = read
        self._check = check
        self._loaded = loaded
        self._given = given or {}
        self.database = database
        self.uses = Uses(database.store if database is not None else None)
        self._sockets = Sockets(self.settings.proxy_listen, self._given.get("proxy_listen"))
        self._counters: int | None = None
        self._under_way: int | None = None
        self._not_ready = "starting"
        self._reloads = 0
        self._replacing = asyncio.Lock()
        self.fleet = Fleet()  # the figures of workers
        self.crew = Crew(
            count,
            self._order,
            self._clock,
            self.counts,
            lambda: self.settings.drain_timeout or math.inf,
            self.fleet,
            self.uses.hear,
        )
        self._watch = Watch(self.crew, self.settings.worker_max_memory, self._clock)
        self.started_at = self._clock.time()
        self._tls = Tls(self.settings, self._clock)
        self._started = contextlib.AsyncExitStack()  # what is to be ended, the last begun first

    def __repr__(self) -> str:
        return f"<Master {self._not_ready or 'ready'} {self.crew!r}>"

    @property
    def addresses(self) -> list[str]:
        """Where clients connect, as URLs."""
        return self._sockets.addresses

    # --- start -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to serve, with every worker; raises ConfigError as one process would."""
        self._sockets.open(len(self.crew.slots))
        if not self.settings.shared_memory:
            # It has no name, so that nothing stays behind, and lives as long as anybody has it open.
            self._counters = os.memfd_create("proxyd-counters", os.MFD_CLOEXEC)
        self._under_way = under_way.make_file(ROOM * len(self.crew.slots))
        await self._start_servers()
        await self.crew.start()
        self._watch.start()
        self.config.loaded(digest_of(self._text))
        self._not_ready = ""
        if self.database is not None:
            self.database.start(lambda text: self.change(lambda: text), self._started)
            self.uses.start(self._started)
        log.notice(
            "started", listen=self.addresses, status=self.status_addresses, workers=len(self.crew.slots)
        )

    async def _start_servers(self) -> None:
        """Serve what tells of all workers, here where they are known."""
        settings = self.settings
        if any(listen.ssl for listen in (*settings.status_listen, *settings.admin_listen)):
            self._tls.take(await self._tls.load(self._loaded))
        context = self._tls.front.context if self._tls.front is not None else None
        admin = Administered(self, self._loaded, self._check)
        shipping = start_shipping(settings, self._clock, self._started)
        health = start_health(self._loaded, ManyProcesses(self), self._clock, self._started)
        self.status_addresses, _ = await start_servers(
            crew_app(self, health, shipping), admin, context, self._given, self._started
        )

    def _order(self) -> Order:
        return Order(
            self._text,
            self._base,
            self._name,
            [dataclasses.asdict(listen) for listen in self._sockets.entries],
            self._sockets.descriptors(),
            self._counters,
            self._under_way,
        )

    # --- what is asked of it ---------------------------------------------------------------------------------

    async def reload(self) -> bool:
        """Have all workers take the file's present content over, or none where one refuses it; true for the former."""
        try:
            await self.change(self._read)
            if self.database is not None:
                self.database.reloaded()
        except ConfigError:
            return False
        return True

    async def change(self, read: Callable[[], str]) -> None:
        """Have all workers take over what ``read`` returns, or none of them; raises ConfigError."""
        self._reloads += 1
        try:
            text = await asyncio.to_thread(read)
            async with self.crew.calm.changing():
                if not self.crew.serving:
                    await asyncio.to_thread(self._check, text)
                outcome = await reload(self.crew.serving, self._reloads, text, lambda: self._decide(text))
        except Exception as error:
            problems = why_refused(error)
            self.config.refused(problems)
            log.error("reload refused", problems=[str(one) for one in problems])  # noqa: TRY400  # no traceback
            raise ConfigError(problems) from error
        self.crew.hurry()
        for warning in outcome.warnings:
            log.warning("configuration", problem=warning)
        if outcome.changed:
            log.warning("settings that take effect with a restart have changed", settings=outcome.changed)
        log.notice("reloaded", generation=self.config.generation, routes=outcome.routes)

    @property
    def changing(self) -> bool:
        """Whether a configuration is being loaded right now."""
        return self.crew.calm.is_changing

    @property
    def text(self) -> str:
        """The text of the configuration that runs."""
        return self._text

    def _decide(self, text: str) -> None:
        self._text = text
        self.config.loaded(digest_of(text))

    async def upgrade(self) -> bool:
        """Replace all workers, one by one, by such as run what is installed now; true where all are."""
        async with self._replacing:
            before, self._base = self._base, self._text
            done = await self.crew.replace()
            if done:
                log.notice("upgraded", workers=len(self.crew.slots))
            else:
                self._base = before
            return done

    def reopen_logs(self) -> None:
        """Go on in new log files, in every process."""
        for child in self.crew.children:
            child.tell("reopen")
        self.auditor.reopen()

    # --- the end ---------------------------------------------------------------------------------------------

    async def stop(self, *, drain: float | None = None, delay: float = 0.0) -> None:
        """Stop accepting after ``delay`` seconds, let requests finish for ``drain``, and end; works after a half start."""
        was_ready = not self._not_ready
        self._not_ready = "draining"
        await self.crew.stop(self.settings.shutdown_timeout if drain is None else drain, delay)
        if delay and was_ready:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.crew.cutting.wait(), delay)
        self._sockets.close()
        await self.crew.gone()
        await self._watch.stop()  # until here, for one that hangs would be waited for
        await self._started.aclose()
        self.fleet.close()
        for descriptor in (self._counters, self._under_way):
            if descriptor is not None:
                os.close(descriptor)
        self._counters = self._under_way = None
        if was_ready:
            log.notice("stopped")

    def cut(self) -> None:
        """Wait for nothing any longer."""
        self.crew.cut()

    def not_ready(self) -> str:
        """Say why no traffic should come here now, or nothing where it may."""
        if not self._not_ready and not self.crew.serving:
            return "no worker"
        return self._not_ready

    # --- figures ---------------------------------------------------------------------------------------------

    def workers(self) -> list[Child]:
        """Return every worker that has a process, by slot; one that drains stands beside its successor."""
        return self.crew.children

    async def refresh(self, within: float = REPORT_WAIT) -> None:
        """Have every worker write down its figures now; of who does not in time, those before have to do."""
        asked = [child for child in self.crew.children if child.state != "starting"]
        await asyncio.gather(*(child.ask("report", within=within) for child in asked), return_exceptions=True)


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
