"""Who sends the logs that are shipped to a bucket: the master, which sees no request, or where there is none the only process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from proxyd.errors import ProxydError
from proxyd.telemetry.shipping import Shipping
from proxyd.telemetry.spool import Spool
from proxyd.telemetry.spooled import refused, spool_of

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from proxyd.clock import Clock
    from proxyd.model.settings import Settings
    from proxyd.model.shipping import LogShipping


def start_shipping(settings: Settings, clock: Clock, started: AsyncExitStack) -> Shipping | None:
    """Send segments until ``started`` ends; None where nothing is shipped. Raises ConfigError."""
    config = settings.log_shipping
    if config is None:
        return None
    shipping = make_shipping(config, clock)
    started.push_async_callback(shipping.stop)
    shipping.start()
    return shipping


def make_shipping(config: LogShipping, clock: Clock, *, for_good: bool = True) -> Shipping:
    """Return what sends segments; raises ConfigError. Where it is not ``for_good``, no directory is made for it."""
    try:
        from proxyd.telemetry.s3_bucket import Bucket  # noqa: PLC0415  # of an extra
    except ModuleNotFoundError as error:
        raise refused("needs the extra 's3', which is not installed: pip install 'proxyd[s3]'") from error
    try:
        bucket = Bucket(config, config.timeout, keep=True)
    except ProxydError as error:
        raise refused(str(error)) from error
    directory = spool_of(config) if for_good else Path(config.spool)
    return Shipping(config, Spool(directory, config.spool_max_size, clock.time), bucket, clock)
