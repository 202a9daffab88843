"""The settings of what waits for a collector, of plugins that log and that trace."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxyd import plugin


class QueueSettings(plugin.Config):
    """Settings of the queue before a collector (Kong's ``kong/tools/queue_schema.lua``)."""

    max_batch_size: int = Field(1, ge=1, le=1_000_000)
    """What is sent together, at most."""
    max_coalescing_delay: float = Field(1, ge=0, le=3600)
    """Seconds that a batch may wait to become full."""
    max_entries: int = Field(10_000, ge=1, le=1_000_000)
    """What may wait; beyond that the oldest are dropped."""
    max_bytes: int | None = Field(None, ge=1)
    """Bytes that may wait; the same."""
    max_retry_time: float = 60
    """Seconds after which a batch that is not taken is dropped; -1 for a single try."""
    initial_retry_delay: float = Field(0.01, ge=0.001, le=1_000_000)
    """Seconds before the second try, doubled for each further one."""
    max_retry_delay: float = Field(60, ge=0.001, le=1_000_000)
    """Most seconds between two tries."""
    concurrency_limit: Literal[-1, 1] = 1
    """Batches under way at once: one, or with -1 up to 16."""
