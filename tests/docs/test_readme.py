"""The README's shell blocks, run against a gateway with the shipped configuration."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from proxyd.apps.demo import start_demo
from proxyd.model.load import load
from proxyd.plugins import PLUGINS
from proxyd.process.worker import Worker

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"(<!-- not run.*? -->\n)?```sh\n(.*?)```", re.DOTALL)
RUN = [match[2] for match in BLOCK.finditer(README) if not match[1]]


@pytest.fixture
async def ports():
    """Start the demo backend and the gateway before it; yield the ports that took the place of 8000 and 8007."""
    runner, backend = await start_demo(port=0)
    env = {
        "BACKEND_ADDRESS": f"127.0.0.1:{backend}",
        "MOBILE_API_KEY": "demo-key-not-a-secret",  # as in .env.example
        "PROXYD_PROXY_LISTEN": "127.0.0.1:0",
        "PROXYD_STATUS_LISTEN": "127.0.0.1:0",
        "PROXYD_ADMIN_LISTEN": "off",
        "PROXYD_PROXY_ACCESS_LOG": "off",
    }
    config = ROOT / "config/proxyd.yml"

    def read():
        return load(config, env=env, plugins={plugin.name: plugin.Config for plugin in PLUGINS})

    worker = Worker(read(), read)
    await worker.start()
    yield {
        "8000": str(urlsplit(worker.addresses[0]).port),
        "8007": str(urlsplit(worker.status_addresses[0]).port),
    }
    await worker.stop(drain=1)
    await runner.cleanup()


async def shell(script, ports):
    script = re.sub(r"localhost:(\d+)", lambda match: f"127.0.0.1:{ports[match[1]]}", script)
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-eu",
        "-c",
        script.replace("curl ", "curl --fail -sS "),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, script
    return output.decode()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_each_shell_block_does_what_the_text_says(ports):
    """REST, a stream, GraphQL, readiness and metrics answer as the README shows them."""
    clients, status = [await shell(block, ports) for block in RUN]
    assert '"item": "tea"' in clients
    assert clients.count("event: tick") == 3
    assert '{"data": {"orders": [{"item": "tea", "quantity": 2}' in clients
    assert '"ready"' in status
    assert "proxyd_http_requests_total{" in status


def test_links_lead_somewhere():
    """A file that the README or CONTRIBUTING points to exists."""
    text = README + (ROOT / "CONTRIBUTING.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
