"""The certificates of a worker: loaded with each configuration, and again when their files change.

Renewed certificates come as new content under the same paths. Files are looked at by ``stat``, at an interval,
for that works on every file system, and follows the symbolic links that Kubernetes swaps.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxyd.crypto.certificate import TlsError, is_path, read_facts, read_pem
from proxyd.downstream.certificates import build_certificates
from proxyd.downstream.tls import TlsFront
from proxyd.errors import ConfigError, Place, Problem
from proxyd.model.files import stamp_of
from proxyd.process.authorities import client_authorities
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.source import CertificateState, TlsState
from proxyd.upstream.tls import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from proxyd.clock import Clock
    from proxyd.downstream.certificates import Certificates
    from proxyd.model.entities import Configuration
    from proxyd.model.files import Stamp
    from proxyd.model.load import Loaded
    from proxyd.model.settings import Settings

SOON = 14 * 86_400  # seconds before its end in which a certificate is warned of

log = get_logger("tls")


@dataclass(frozen=True, slots=True)
class Material:
    """What one load has found; ``certificates`` is None where no listener speaks TLS."""

    certificates: Certificates | None
    states: tuple[CertificateState, ...]
    warnings: tuple[Problem, ...]
    stamps: Mapping[str, Stamp | None]


def load_material(loaded: Loaded, settings: Settings, now: float, before: Certificates | None) -> Material:
    """Read every certificate; raises ConfigError with all that cannot be used. Reads files: not on the loop."""
    configuration = loaded.configuration
    stamps = stamp(configuration, settings)  # before they are read: what changes meanwhile is seen later
    clients = client_authorities(loaded)
    certificates = None
    if speaks_tls(settings):
        certificates = build_certificates(configuration, settings, clients, before)
    states, warnings = [], []
    for use, place, path, text in _shown(configuration, settings):
        try:
            facts = read_facts(read_pem(text))
        except TlsError:
            continue  # whoever uses it says so
        states.append(CertificateState(use, path, facts.label, facts.not_after))
        if problem := _doubt(facts.not_before, facts.not_after, now):
            warnings.append(Problem(place, path, f"the certificate of {facts.label or 'nobody'} {problem}"))
    return Material(certificates, tuple(states), tuple(warnings), stamps)


def speaks_tls(settings: Settings) -> bool:
    """Tell whether any listener does."""
    listens = (*settings.proxy_listen, *settings.status_listen, *settings.admin_listen)
    return any(listen.ssl for listen in listens)


def _shown(configuration: Configuration, settings: Settings) -> Iterator[tuple[str, Place, str, str]]:
    """Yield every certificate: what it is for, its place and path in the file, and its text or path."""
    places = configuration.places
    for index, text in enumerate(settings.ssl_cert):
        yield "server", Place("ssl_cert"), f"ssl_cert[{index}]", text
    for entity in configuration.certificates.values():
        place, path = places.get(entity.id, Place("certificates")), f"certificates[{entity.id}]"
        yield "server", place, path, entity.cert
        if entity.cert_alt:
            yield "server", place, f"{path}.cert_alt", entity.cert_alt
    for authority in configuration.ca_certificates.values():
        place = places.get(authority.id, Place("ca_certificates"))
        yield "authority", place, f"ca_certificates[{authority.id}]", authority.cert


def _doubt(not_before: float, not_after: float, now: float) -> str:
    if now > not_after:
        return f"has expired on {_date(not_after)}"
    if now < not_before:
        return f"is not valid before {_date(not_before)}"
    return f"expires on {_date(not_after)}" if not_after - now < SOON else ""


def _date(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def stamp(configuration: Configuration, settings: Settings) -> dict[str, Stamp | None]:
    """Return what ``stat`` says of every file of certificates and keys; None for one that is not there."""
    texts = [*settings.ssl_cert, *settings.ssl_cert_key]
    if settings.trusted_certificate != SYSTEM:
        texts.append(settings.trusted_certificate)
    for entity in configuration.certificates.values():
        texts += [entity.cert, entity.key, entity.cert_alt or "", entity.key_alt or ""]
    texts += [authority.cert for authority in configuration.ca_certificates.values()]
    return {path: stamp_of(path) for path in texts if is_path(path)}


class Tls:
    """What a worker has of TLS: the front of its listeners, and the watch on the files."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.front: TlsFront | None = None
        self.state = TlsState()
        self._settings = settings
        self._clock = clock
        self._material: Material | None = None
        self._watching: asyncio.Task[None] | None = None
        self._refused: Mapping[str, Stamp | None] | None = None  # what the files were when they were no good

    def __repr__(self) -> str:
        return f"<Tls {self.front!r} watching={len(self._material.stamps) if self._material else 0}>"

    def handshakes(self) -> int:
        """Count those that are under way."""
        return len(self.front.handshakes) if self.front is not None else 0

    async def load(self, loaded: Loaded) -> Material:
        """Read every certificate of a configuration; raises ConfigError."""
        before = self.front.certificates if self.front is not None else None
        return await asyncio.to_thread(load_material, loaded, self._settings, self._clock.time(), before)

    def take(self, material: Material) -> None:
        """Show these certificates from the next handshake on."""
        self._material = material
        self._refused = None
        self.state.certificates = material.states
        for warning in material.warnings:
            log.warning("certificate", problem=str(warning))
        if material.certificates is None:
            return
        if self.front is None:
            self.front = TlsFront(material.certificates)
            self.state.handshake_failures = self.front.failures
        else:
            self.front.certificates = material.certificates

    def start(self, running: Callable[[], Loaded], renew: Callable[[], Awaitable[None]]) -> None:
        """Begin to watch the files of what is running; ``renew`` compiles it anew."""
        if self._settings.ssl_watch_interval:
            self._watching = asyncio.get_running_loop().create_task(self._watch(running, renew))

    async def stop(self) -> None:
        """Watch no longer; works without ``start``."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self, running: Callable[[], Loaded], renew: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._settings.ssl_watch_interval)
            await self.look(running().configuration, renew)

    async def look(self, configuration: Configuration, renew: Callable[[], Awaitable[None]]) -> None:
        """Look once: files that have changed are taken over, or left where they are no good."""
        stamps = await asyncio.to_thread(stamp, configuration, self._settings)
        if self._material is None or stamps in (self._material.stamps, self._refused):
            return
        try:
            await renew()
        except Exception as error:  # noqa: BLE001  # whatever it is, what runs goes on
            self._refused = stamps
            self.state.failed += 1
            if isinstance(error, ConfigError):
                problems = [str(problem) for problem in error.problems]
                log.error("certificates not renewed", problems=problems)  # noqa: TRY400  # no traceback
            else:
                log.crit("certificates not renewed", exc_info=error)
        else:
            self.state.succeeded += 1
            log.notice("certificates renewed")
