"""Logs that are shipped to a bucket, as the settings ask for it: who writes segments, and who sends them.

Every process writes its own into one spool. The one that nobody serves through sends them: the master, or where there is
none the only process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from proxyd.errors import ConfigError, Place, Problem, ProxydError
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.segments import ALONE, Rotation, SegmentWriter
from proxyd.telemetry.shipping import Shipping
from proxyd.telemetry.spool import Spool

if TYPE_CHECKING:
    import asyncio
    from contextlib import AsyncExitStack

    from proxyd.clock import Clock
    from proxyd.model.settings import Settings
    from proxyd.model.shipping import LogShipping

log = get_logger("log_shipping")


def open_segments(
    settings: Settings,
    kind: str,
    name: str,
    clock: Clock,
    loop: asyncio.AbstractEventLoop,
    started: AsyncExitStack,
) -> SegmentWriter | None:
    """Return what writes a log into segments, None where it is not shipped; its owner closes it. Raises ConfigError.

    ``name`` is that of this process, empty where it is the only one.
    """
    config = settings.log_shipping
    if config is None or kind not in config.logs:
        return None

    def failed(error: OSError) -> None:
        log.error("log lines are being lost", spool=config.spool, reason=error.strerror)

    directory = _directory(config)
    worker = name.removeprefix("worker ") or ALONE
    writer = SegmentWriter(directory, kind, worker, config.segment_size, clock.time, failed)
    started.callback(Rotation(writer, config.segment_age, loop).stop)
    return writer


def start_shipping(settings: Settings, clock: Clock, started: AsyncExitStack) -> Shipping | None:
    """Send segments until ``started`` ends; None where nothing is shipped. Raises ConfigError."""
    config = settings.log_shipping
    if config is None:
        return None
    shipping = make_shipping(config, clock)
    started.push_async_callback(shipping.stop)
    shipping.start()
    return shipping


def make_shipping(config: LogShipping, clock: Clock) -> Shipping:
    """Return what sends segments; raises ConfigError."""
    try:
        from proxyd.telemetry.s3_bucket import Bucket  # noqa: PLC0415  # of an extra
    except ModuleNotFoundError as error:
        raise _refused("needs the extra 's3', which is not installed: pip install 'proxyd[s3]'") from error
    try:
        bucket = Bucket(config, config.timeout, keep=True)
    except ProxydError as error:
        raise _refused(str(error)) from error
    return Shipping(config, Spool(_directory(config), config.spool_max_size, clock.time), bucket, clock)


def _directory(config: LogShipping) -> Path:
    directory = Path(config.spool)
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(f"{directory}: {error.strerror}") from error
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise _refused(f"{directory}: this user may not write there")
    return directory


def _refused(reason: str) -> ConfigError:
    return ConfigError([Problem(Place("log_shipping"), "", reason)])
