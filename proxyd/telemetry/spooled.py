"""Logs that are written into segments, as the settings ask for it: every process has its own, in one spool."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from proxyd.errors import ConfigError, Place, Problem
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.segments import ALONE, Rotation, SegmentWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from proxyd.model.settings import Settings
    from proxyd.model.shipping import LogShipping

log = get_logger("log_shipping")


def open_segments(
    settings: Settings,
    kind: str,
    name: str,
    time: Callable[[], float],
    started: AsyncExitStack,
) -> SegmentWriter | None:
    """Return what writes a log into segments, None where it is not shipped; its owner closes it. Raises ConfigError.

    ``name`` is that of this process, empty for a master and for one by itself; ``time`` is the wall clock.
    """
    config = settings.log_shipping
    if config is None or kind not in config.logs:
        return None

    def failed(error: OSError) -> None:
        log.error("log lines are being lost", spool=config.spool, reason=error.strerror)

    directory = spool_of(config)
    worker = name.removeprefix("worker ") or ALONE
    writer = SegmentWriter(directory, kind, worker, config.segment_size, time, failed)
    started.callback(Rotation(writer, config.segment_age, asyncio.get_running_loop()).stop)
    return writer


def spool_of(config: LogShipping) -> Path:
    """Return the directory, made where it is not there; raises ConfigError."""
    directory = Path(config.spool)
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise refused(f"{directory}: {error.strerror}") from error
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise refused(f"{directory}: this user may not write there")
    return directory


def refused(reason: str) -> ConfigError:
    """Return the error of a setting that cannot be followed."""
    return ConfigError([Problem(Place("log_shipping"), "", reason)])
