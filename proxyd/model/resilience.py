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


class Limits(Entity):
    """How much an upstream is given at a time, by each process: what Envoy calls circuit breakers."""

    max_connections: int = Field(1024, ge=1, le=2**31)
    """Connections to all targets together; beyond it, a request waits for one, up to connect_timeout."""
    max_pending_requests: int = Field(1024, ge=0, le=2**31)
    """Requests that wait for a connection."""
    max_requests: int = Field(1024, ge=1, le=2**31)
    """Requests under way, those that wait for a connection included."""
    max_retries: int = Field(3, ge=0, le=2**31)
    """Further tries under way; a retry_budget takes its place."""


class RetryBudget(Entity):
    """How many further tries there may be beside first ones."""

    budget_percent: float = Field(20, ge=0, le=100)
    """Further tries under way, as a percentage of all requests under way."""
    min_retry_concurrency: int = Field(3, ge=0, le=2**31)
    """Further tries under way that there may be, however few requests there are."""


class CircuitBreaker(Entity):
    """When nothing is sent for a while, because too much of it failed or was slow."""

    window: float = Field(10, ge=0.05, le=65535)
    """Seconds that are looked back."""
    minimum_requests: int = Field(20, ge=1, le=2**31)
    """Requests in them that it takes to judge."""
    error_percent: float = Field(50, ge=0, le=100)
    """Percentage of failures (500 and above, and no answer) that opens the circuit; 0 is off."""
    slow_after: float = Field(0, ge=0, le=65535)
    """Seconds from the end of a request to the head of its answer beyond which it was slow; 0 is off."""
    slow_percent: float = Field(50, ge=0, le=100)
    """Percentage of slow answers that opens the circuit; 0 is off."""
    open_duration: float = Field(10, ge=0.05, le=65535)
    """Seconds that it is open: requests get 503 and Retry-After."""
    half_open_requests: int = Field(3, ge=1, le=65535)
    """Requests let through at a time behind that; so many good answers close the circuit, a bad one opens it again."""


class Resilience(Entity):
    """How an upstream is kept from failing whole."""

    outlier_detection: OutlierDetection | None = None
    """When a target gets no requests for a while."""
    limits: Limits | None = None
    """How much the upstream is given at a time."""
    circuit_breaker: CircuitBreaker | None = None
    """When the upstream gets no requests for a while."""
    retry_budget: RetryBudget | None = None
    """How many further tries there may be."""

    @property
    def guarded(self) -> bool:
        """Whether tries are let in one by one."""
        return any(one is not None for one in (self.limits, self.circuit_breaker, self.retry_budget))
