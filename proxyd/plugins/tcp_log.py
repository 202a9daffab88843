"""tcp-log: each request's record as a line over TCP."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from pydantic import Field

from proxyd.bases import logger
from proxyd.bases.logger import QueueLogger
from proxyd.model.base import Port  # noqa: TC001  # pydantic reads it
from proxyd.model.grammar import Host, ServerName  # noqa: TC001
from proxyd.telemetry.queue import Limits
from proxyd.telemetry.socket_sender import StreamSender, place

if TYPE_CHECKING:
    from collections.abc import Hashable

LIMITS = Limits(max_batch_size=100, max_coalescing_delay=0)  # what is there goes out together


class Config(logger.Config):
    """Settings of tcp-log (Kong's ``kong/plugins/tcp-log/schema.lua``)."""

    host: Host
    """Host name or address of the collector."""
    port: Port
    """Its port."""
    timeout: float = Field(10_000, gt=0)
    """Milliseconds for one delivery, connecting included."""
    keepalive: float = Field(60_000, gt=0)
    """Milliseconds that an idle connection is kept."""
    tls: bool = False
    """Whether to speak TLS; the collector's certificate is verified, which Kong does not."""
    tls_sni: ServerName | None = None
    """Server name asked for and verified; none: the host."""


class TcpLog(QueueLogger[Config]):
    """Sends the record of each request to a collector, a line each."""

    name = "tcp-log"
    priority = 7

    def limits(self) -> Limits:
        """Return what the queue is held to: Kong has no settings for it here."""
        return LIMITS

    def output_key(self) -> Hashable:
        """Share the connection with instances that differ in custom fields alone."""
        config = self.config
        return (
            self.name,
            config.host,
            config.port,
            config.timeout,
            config.keepalive,
            config.tls,
            config.tls_sni,
        )

    def sender(self) -> tuple[str, StreamSender]:
        """Return the collector's name and what sends there."""
        config = self.config
        tls = (self.kit.outputs.tls or ssl.create_default_context()) if config.tls else None
        sender = StreamSender(
            config.host,
            config.port,
            self.kit.clock.now,
            timeout=config.timeout / 1000,
            keepalive=config.keepalive / 1000,
            tls=tls,
            server_name=config.tls_sni,
        )
        return place(config.host, config.port), sender
