"""How an upstream learns which of its targets work: Kong's fields and defaults, off until thresholds are set."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxyd.model.base import Entity
from proxyd.model.grammar import HeaderName, HostName, PathPrefix, Status


class HealthyActive(Entity):
    """When probes make a target healthy."""

    interval: float = Field(0, ge=0, le=65535)
    """Seconds between probes of healthy targets; 0 is off."""
    http_statuses: tuple[Status, ...] = (200, 302)
    """Answers that count as success."""
    successes: int = Field(0, ge=0, le=255)
    """Successes in a row that make a target healthy; 0 is off."""


class UnhealthyActive(Entity):
    """When probes make a target unhealthy."""

    interval: float = Field(0, ge=0, le=65535)
    """Seconds between probes of unhealthy targets; 0 is off."""
    http_statuses: tuple[Status, ...] = (429, 404, 500, 501, 502, 503, 504, 505)
    """Answers that count as failure."""
    tcp_failures: int = Field(0, ge=0, le=255)
    """Failed connections that make a target unhealthy; 0 is off."""
    timeouts: int = Field(0, ge=0, le=255)
    """Timeouts that make a target unhealthy; 0 is off."""
    http_failures: int = Field(0, ge=0, le=255)
    """Failure answers that make a target unhealthy; 0 is off."""


class ActiveChecks(Entity):
    """Probes sent by the gateway."""

    type: Literal["tcp", "http", "https", "grpc", "grpcs"] = "http"
    """What a probe is."""
    timeout: float = Field(1, ge=0, le=65535)
    """Seconds that a probe may take."""
    concurrency: int = Field(10, ge=1, le=2**31)
    """Probes under way at once."""
    http_path: PathPrefix = "/"
    """Path that is probed."""
    https_sni: HostName | None = None
    """Server name sent in the probe's handshake."""
    https_verify_certificate: bool = True
    """Whether the probed certificate is verified."""
    headers: dict[HeaderName, tuple[str, ...]] | None = None
    """Headers of the probe."""
    healthy: HealthyActive = HealthyActive()
    """When a target turns healthy."""
    unhealthy: UnhealthyActive = UnhealthyActive()
    """When a target turns unhealthy."""


class HealthyPassive(Entity):
    """When traffic makes a target healthy."""

    http_statuses: tuple[Status, ...] = (*range(200, 209), 226, *range(300, 309))
    """Answers that count as success."""
    successes: int = Field(0, ge=0, le=255)
    """Successes in a row that make a target healthy; 0 is off."""


class UnhealthyPassive(Entity):
    """When traffic makes a target unhealthy."""

    http_statuses: tuple[Status, ...] = (429, 500, 503)
    """Answers that count as failure."""
    tcp_failures: int = Field(0, ge=0, le=255)
    """Failed connections that make a target unhealthy; 0 is off."""
    timeouts: int = Field(0, ge=0, le=255)
    """Timeouts that make a target unhealthy; 0 is off."""
    http_failures: int = Field(0, ge=0, le=255)
    """Failure answers that make a target unhealthy; 0 is off."""


class PassiveChecks(Entity):
    """What is learnt from traffic."""

    type: Literal["tcp", "http", "https", "grpc", "grpcs"] = "http"
    """What is looked at: connections, or answers too."""
    healthy: HealthyPassive = HealthyPassive()
    """When a target turns healthy."""
    unhealthy: UnhealthyPassive = UnhealthyPassive()
    """When a target turns unhealthy."""


class Healthchecks(Entity):
    """How an upstream learns which of its targets work."""

    active: ActiveChecks = ActiveChecks()
    """Probes."""
    passive: PassiveChecks = PassiveChecks()
    """Observation of traffic."""
    threshold: float = Field(0, ge=0, le=100)
    """Percentage of available weight below which the whole upstream is unhealthy."""
