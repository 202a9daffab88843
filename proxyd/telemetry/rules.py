"""How families of several processes become one: by what rule the values of one series are put together.

Counters and histograms are summed, processes that have ended included, so that they never go down. A gauge tells how
things are now, of the processes that run; ``GAUGES`` says for each how. Families about one process have the label
``worker``, the number of its slot, which its replacement takes over.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class How(Enum):
    """What becomes of two values."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"
    MEAN = "mean"


class Rule(NamedTuple):
    """How values are put together, whether those of each slot apart, and whether ended processes count on."""

    how: How
    per_worker: bool = False
    lasting: bool = False


GAUGES = {
    "proxyd_latency_budget_seconds": How.MAX,  # the same in all of them
    "proxyd_http_requests_in_flight": How.SUM,
    "proxyd_open_connections": How.SUM,
    "proxyd_connections_limit": How.SUM,
    "proxyd_websockets_open": How.SUM,
    "proxyd_upstream_healthy": How.MEAN,  # the share of the workers that send requests there
    "proxyd_upstream_requests_in_flight": How.SUM,
    "proxyd_upstream_open_connections": How.SUM,
    "proxyd_upstream_ejected": How.MEAN,
    "proxyd_upstream_circuit_state": How.MAX,
    "proxyd_graphql_subscriptions_open": How.SUM,
    "proxyd_concurrency_limit": How.SUM,
    "proxyd_concurrency_in_flight": How.SUM,
    "proxyd_certificate_expiry_timestamp_seconds": How.MIN,  # whoever has not taken over a new one tells
    "proxyd_jwks_keys": How.MIN,
    "proxyd_jwks_last_success_timestamp_seconds": How.MIN,
    "proxyd_redis_up": How.MIN,
    "proxyd_graphql_schema_known": How.MIN,
    "proxyd_graphql_schema_last_success_timestamp_seconds": How.MIN,
    "proxyd_log_records_waiting": How.SUM,
    "proxyd_build": How.MAX,  # what runs: two series while one version follows another
    "kong_nginx_connections_total": How.SUM,
    "kong_nginx_requests_total": How.SUM,
    "kong_node_info": How.MAX,
    "kong_memory_workers_lua_vms_bytes": How.SUM,
    "kong_memory_lua_shared_dict_bytes": How.SUM,
    "kong_memory_lua_shared_dict_total_bytes": How.MAX,
    "kong_upstream_target_health": How.MEAN,
    "process_virtual_memory_bytes": How.SUM,
    "process_resident_memory_bytes": How.SUM,
    "process_start_time_seconds": How.MAX,
    "process_open_fds": How.SUM,
    "process_max_fds": How.MAX,
}

# What the master tells for all of them: it has loaded the configuration first, is what is reloaded, and is administered.
OF_MASTER = frozenset(
    {
        "proxyd_config_generation",
        "proxyd_config_reloads",
        "proxyd_config_last_reload_success",
        "proxyd_config_last_success_timestamp_seconds",
        "proxyd_config_hash",
        "proxyd_admin_logins",
        "proxyd_admin_audit_dropped_lines",
        "kong_datastore_reachable",
    }
)

_PER_WORKER = frozenset({"proxyd_eventloop_lag_seconds", "proxyd_open_connections"})
_PER_WORKER_PREFIXES = ("process_", "python_gc_")
# Gauges of Kong's that are counters by what they tell.
LASTING_STATES = frozenset({"accepted", "handled", "total"})
_LASTING_GAUGES = frozenset({"kong_nginx_requests_total", "kong_nginx_connections_total"})


def rule_of(name: str, kind: str) -> Rule:
    """Return the rule of a family, by its name (without ``_total``) and its type."""
    per_worker = name in _PER_WORKER or name.startswith(_PER_WORKER_PREFIXES)
    if kind in {"counter", "histogram"}:
        return Rule(How.SUM, per_worker, lasting=True)
    return Rule(GAUGES.get(name, How.SUM), per_worker, name in _LASTING_GAUGES)
