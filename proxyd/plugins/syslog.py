"""syslog: each request's record to the machine's own syslog."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from proxyd.bases import logger
from proxyd.bases.logger import QueueLogger
from proxyd.telemetry.queue import Limits
from proxyd.telemetry.socket_sender import DatagramSender

if TYPE_CHECKING:
    from collections.abc import Hashable

    from proxyd.exchange import Exchange

Severity = Literal["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"]
# RFC 5424 section 6.2.1 numbers both.
SEVERITIES = {
    "emerg": 0, "alert": 1, "crit": 2, "err": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7
}  # fmt: skip
FACILITIES = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8,
    "cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19,
    "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}  # fmt: skip
SERVER_ERROR, CLIENT_ERROR = 500, 400


class Config(logger.Config):
    """Settings of syslog (Kong's ``kong/plugins/syslog/schema.lua``)."""

    renamed: ClassVar[dict[str, str]] = {"syslog_facility": "facility"}

    log_level: Severity = "info"
    """Least severity that is sent."""
    successful_severity: Severity = "info"
    """Severity of answers below 400."""
    client_errors_severity: Severity = "info"
    """Severity of answers from 400 to 499."""
    server_errors_severity: Severity = "info"
    """Severity of answers from 500 on."""
    facility: str = "user"
    """Facility: `user`, `daemon`, `local0` to `local7`, or another of syslog's."""
    address: str = Field("/dev/log", pattern="^/")
    """Path of the socket that syslog listens on; not Kong's."""

    @field_validator("facility")
    @classmethod
    def _known(cls, name: str) -> str:
        if name.lower() not in FACILITIES:
            raise ValueError(f"must be one of {', '.join(FACILITIES)}")
        return name.lower()


class Syslog(QueueLogger[Config]):
    """Sends the record of each request to syslog, with a severity that follows its status."""

    name = "syslog"
    priority = 4

    def prepare(self) -> None:
        """Work out the number that leads a message, for each kind of status; None for those that are not sent."""
        super().prepare()
        config = self.config
        self._ok, self._client, self._server = (
            FACILITIES[config.facility] * 8 + SEVERITIES[severity]
            if SEVERITIES[severity] <= SEVERITIES[config.log_level]
            else None
            for severity in (
                config.successful_severity,
                config.client_errors_severity,
                config.server_errors_severity,
            )
        )

    def limits(self) -> Limits:
        """Return what the queue is held to: Kong has no settings for it here."""
        return Limits()

    def output_key(self) -> Hashable:
        """Share the socket."""
        return self.name, self.config.address

    def sender(self) -> tuple[str, DatagramSender]:
        """Return syslog's name and what sends there."""
        return self.config.address, DatagramSender(self.config.address, self.kit.clock.now)

    def deliver(self, batch: list[Exchange], wall: float) -> None:
        """Put a message of each into the queue, as syslog(3) would write it (RFC 3164 section 4.1, without a host)."""
        for exchange in batch:
            status = exchange.status
            number = (
                self._server
                if status >= SERVER_ERROR
                else self._client
                if status >= CLIENT_ERROR
                else self._ok
            )
            if number is not None:
                ended = datetime.fromtimestamp(exchange.ended + wall).astimezone()
                head = f"<{number}>{ended:%b} {ended.day:2d} {ended:%H:%M:%S} proxyd[{os.getpid()}]: "
                self.output.put(head.encode() + self.recorder.line(exchange, wall))
