"""Every query of every dashboard, asked of a real Prometheus that watches gateways to which all sorts of things happen."""

from __future__ import annotations

import re
import time

from e2e_gateway import config_for
from monitoring_case import BOARDS, queries, variables

SEVERAL = 2  # rounds of traffic: a rate is of counts that grew between scrapes
ALL = {
    "$instance": ".*",
    "$route": ".*",
    "$upstream": ".*",
    "$consumer": ".*",
    "$__rate_interval": "1m",
    "$__range": "1m",
}


def whole(text):
    """Put in what Grafana would for "All" and a time range of a minute."""
    return re.sub(r"\$\w+", lambda match: ALL[match[0]], text)


async def test_every_query_of_every_dashboard_returns_data(eventful, gang, backend, prometheus):
    """With all variables at "All", each panel has numbers, and series with the labels that its legend shows."""
    workers = await gang(config_for(backend.port))
    watcher = await prometheus(eventful.gateway.status_url, workers.one.status_url)
    for number in range(1, SEVERAL + 1):
        await eventful.things_happen()
        await watcher.until(f'sum(proxyd_http_requests_total{{route="orders"}}) == {7 * number}')
    assert await eventful.gateway.worker.reload()
    await watcher.until("proxyd_config_generation == 2")
    eventful.gateway.write("services: 1")
    assert not await eventful.gateway.worker.reload()
    await watcher.until('ALERTS{alertname="ProxydConfigRejected"}')

    now = time.time()
    exemplars = await watcher.ask(
        "query_exemplars",
        query="proxyd_http_request_duration_seconds_bucket",
        start=str(now - 60),
        end=str(now + 60),
    )
    assert all("trace_id" in one["labels"] for series in exemplars for one in series["exemplars"])
    assert exemplars
    missing = []
    for query in (query for path in BOARDS for query in queries(path)):
        found = await watcher.soon(whole(query.text))
        labels = {label for each, _ in found for label in each}
        legend = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
        if not found or legend - labels:
            missing.append((query, legend - labels))
    assert missing == []
    for path in BOARDS:
        for name, (label, selector) in variables(path).items():
            values = await watcher.ask(f"label/{label}/values", **{"match[]": whole(selector)})
            assert [value for value in values if value], (path.stem, name)
