"""How an upstream is kept from failing whole: what proxyd adds to Kong's upstreams, off until it is asked for.

Names and defaults are Envoy's where Envoy has them; times are seconds, as in Kong's health checks.
"""

from __future__ import annotations

from pydantic import Field

from proxyd.model.base import Entity


class OutlierDetection(Entity):
    """When a target that answers worse than it should gets no requests for a while."""

    consecutive_5xx: int = Field(5, ge=0, le=65535)
    """Failures in a row that eject a target: answers of 500 and above, and no answer; 0 is off."""
    consecutive_gateway_failure: int = Field(0, ge=0, le=65535)
    """The same, of 502, 503, 504 and no answer only; 0 is off."""
    interval: float = Field(10, ge=0.05, le=65535)
    """Seconds between two looks at who may come back, and at success rates."""
    base_ejection_time: float = Field(30, ge=0.05, le=65535)
    """Seconds that the first ejection lasts; the second in a row lasts twice as long, and so on."""
    max_ejection_time: float = Field(300, ge=0.05, le=65535)
    """Seconds that one lasts at most."""
    max_ejection_percent: float = Field(10, ge=0, le=100)
    """Percentage of the targets that may be ejected at a time; one may be, whatever it is."""
    panic_threshold: float = Field(50, ge=0, le=100)
    """Percentage of the healthy targets below which ejections are ignored; 0 is off."""
    success_rate_minimum_hosts: int = Field(5, ge=2, le=65535)
    """Targets with enough requests that it takes to compare their success rates."""
    success_rate_request_volume: int = Field(100, ge=1, le=2**31)
    """Requests in an interval that are enough."""
    success_rate_stdev_factor: int = Field(1900, ge=0, le=65535)
    """Thousandths of the standard deviation below the mean at which a success rate is an outlier; 0 is off."""
    successful_active_health_check_uneject_host: bool = True
    """Whether a successful probe brings a target back at once."""


class Resilience(Entity):
    """How an upstream is kept from failing whole."""

    outlier_detection: OutlierDetection | None = None
    """When a target gets no requests for a while."""
