"""The figures of running gateways, as promtool and a strict reader find them."""

from __future__ import annotations

import asyncio
import re
import shutil

import httpx
import pytest
from e2e_eventful import CROWDED
from e2e_gateway import config_for
from prometheus_client.openmetrics.parser import text_string_to_metric_families


async def test_nothing_that_a_client_says_becomes_a_label(eventful, raw):
    """Paths, hosts, methods, keys, addresses and headers are in no series, whatever answers the request."""
    await eventful.things_happen()
    client = await raw(eventful.gateway.port)
    for path in ("orders", "dead", "weak", "nowhere"):
        await client.ask(
            b"MARKER /%b/marker?marker=marker HTTP/1.1\r\nHost: marker.example\r\napikey: marker\r\n"
            b"X-Real-IP: 198.51.100.77\r\nUser-Agent: marker\r\nContent-Length: 0\r\n\r\n" % path.encode()
        )
    text = await page(eventful.gateway.status_url)
    assert 'method="_OTHER"' in text
    assert 'consumer="ann"' in text
    assert re.findall(r".*(?i:marker|ann-key|198\.51\.100\.77).*", text) == []
    assert await remarks(text) == ""


async def test_the_figures_of_workers_are_as_they_should_be(gang, backend, raw):
    """What a master puts together passes ``promtool check metrics``, and parses as OpenMetrics."""
    workers = await gang(config_for(backend.port))
    await (await raw(workers.port)).ask(CROWDED)
    text = await page(workers.one.status_url)
    assert 'worker="1"' in text
    assert await remarks(text) == ""
    text = await page(workers.one.status_url, "application/openmetrics-text;version=1.0.0")
    assert "proxyd_workers" in {family.name for family in text_string_to_metric_families(text)}


async def page(status_url, accept="text/plain"):
    async with httpx.AsyncClient() as reader:
        return (await reader.get(f"{status_url}/metrics", headers={"Accept": accept})).text


async def remarks(text):
    """Return what promtool has to say of a page, but for Kong's names and those of prometheus_client."""
    ours = "".join(
        line for line in text.splitlines(keepends=True) if not re.search(r"\b(kong|python_gc)_", line)
    )
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian package prometheus) is not installed")
    check = await asyncio.create_subprocess_exec(
        promtool, "check", "metrics", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, said = await check.communicate(ours.encode())
    return said.decode()
