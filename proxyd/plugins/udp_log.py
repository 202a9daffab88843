"""udp-log: each request's record as a datagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from proxyd.bases import logger
from proxyd.bases.logger import QueueLogger
from proxyd.model.base import Port  # noqa: TC001  # pydantic reads it
from proxyd.model.grammar import Host  # noqa: TC001
from proxyd.telemetry.queue import Limits
from proxyd.telemetry.socket_sender import DatagramSender, place

if TYPE_CHECKING:
    from collections.abc import Hashable


class Config(logger.Config):
    """Settings of udp-log (Kong's ``kong/plugins/udp-log/schema.lua``)."""

    host: Host
    """Host name or address of the collector."""
    port: Port
    """Its port."""
    timeout: float = Field(10_000, gt=0)
    """Accepted for Kong's sake: a datagram is sent or not, at once."""


class UdpLog(QueueLogger[Config]):
    """Sends the record of each request to a collector, a datagram each; one over 64 KiB is dropped."""

    name = "udp-log"
    priority = 8

    def limits(self) -> Limits:
        """Return what the queue is held to: Kong has no settings for it here."""
        return Limits()

    def output_key(self) -> Hashable:
        """Share the socket with instances that differ in custom fields alone."""
        return self.name, self.config.host, self.config.port

    def sender(self) -> tuple[str, DatagramSender]:
        """Return the collector's name and what sends there."""
        address = (self.config.host, self.config.port)
        return place(*address), DatagramSender(address, self.kit.clock.now)
