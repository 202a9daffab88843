from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from types import SimpleNamespace

import pytest
import trustme
from aiohttp import web
from upstream_fakes import FakeSleep, make_target, make_upstream, settle

from proxyd.errors import GatewayError, Kind
from proxyd.model.healthchecks import ActiveChecks, Healthchecks, HealthyActive, UnhealthyActive
from proxyd.upstream.cluster import TargetSpec
from proxyd.upstream.monitor import Monitor
from proxyd.upstream.probe import HttpProbe, TcpProbe, make_probe
from proxyd.upstream.tls import TlsInputs, make_context

CHECKS = ActiveChecks(
    concurrency=2,
    healthy=HealthyActive(interval=5, successes=2),
    unhealthy=UnhealthyActive(interval=1, http_failures=2, tcp_failures=1, timeouts=3),
)


class FakeProbe:
    """Answers from a dict of address to status or error, and counts who is under way."""

    def __init__(self):
        self.results = {}
        self.probed = []
        self.running = self.most = 0
        self.closed = False

    async def __call__(self, member):
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.probed.append(member.record.address)
        result = self.results.get(member.record.address, 200)
        if isinstance(result, Exception):
            raise result
        return result

    async def close(self):
        self.closed = True


class Probed:
    def __init__(self, cluster, checks=CHECKS):
        self.cluster = cluster
        self.probe = FakeProbe()
        self.sleep = FakeSleep()
        self.monitor = Monitor(cluster, checks, self.probe, self.sleep)

    def unhealthy(self):
        return sorted(m.record.address for m in self.cluster.members if not m.health.healthy)


@pytest.fixture
async def probed(world):
    upstream = make_upstream(healthchecks=Healthchecks(active=CHECKS))
    targets = [make_target(f"10.0.0.{number}:80") for number in range(1, 6)]
    balancers = world.build(upstream, *targets)
    balancers._monitors.clear()  # the one under test takes its place
    await balancers.start()
    probed = Probed(balancers.for_upstream(upstream))
    yield probed
    await probed.monitor.stop()
    await balancers.stop()


async def test_a_round_probes_each_once(probed):
    """A round probes every healthy address once, no more than the concurrency at a time."""
    await probed.monitor.round(healthy=True)
    assert sorted(probed.probe.probed) == [f"10.0.0.{number}" for number in range(1, 6)]
    assert probed.probe.most == 2


async def test_failures_and_recovery(probed):
    """Thresholds per kind of failure take a target out, and successes bring it back."""
    results = probed.probe.results
    results["10.0.0.1"] = 500
    results["10.0.0.2"] = GatewayError(Kind.CONNECT_REFUSED)
    results["10.0.0.3"] = GatewayError(Kind.READ_TIMEOUT)
    results["10.0.0.4"] = 418
    await probed.monitor.round(healthy=True)
    assert probed.unhealthy() == ["10.0.0.2"]
    await probed.monitor.round(healthy=True)
    assert probed.unhealthy() == ["10.0.0.1", "10.0.0.2"]
    await probed.monitor.round(healthy=True)
    assert probed.unhealthy() == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    results.clear()
    probed.probe.probed.clear()
    await probed.monitor.round(healthy=False)
    assert len(probed.probe.probed) == 3
    assert len(probed.unhealthy()) == 3
    await probed.monitor.round(healthy=False)
    assert probed.unhealthy() == []


async def test_intervals(probed):
    """Healthy and unhealthy addresses are probed at their own intervals, beginning at once."""
    probed.probe.results["10.0.0.1"] = GatewayError(Kind.CONNECT_REFUSED)
    await probed.monitor.start()
    await settle()
    assert sorted(probed.sleep.asked) == [1.0, 5.0]
    assert probed.unhealthy() == ["10.0.0.1"]
    probed.probe.probed.clear()
    await probed.sleep.wake()
    assert sorted(probed.probe.probed) == [f"10.0.0.{number}" for number in range(1, 6)]
    assert repr(probed.monitor) == "<Monitor upstream api running>"


async def test_an_interval_of_zero_is_never(probed):
    """Without an interval, nobody is probed."""
    checks = ActiveChecks(unhealthy=UnhealthyActive(interval=1, tcp_failures=1))
    monitor = Monitor(probed.cluster, checks, probed.probe, probed.sleep)
    await monitor.start()
    await settle()
    assert probed.probe.probed == []
    await monitor.stop()


async def test_stop_without_start(probed):
    """Stopping works whether or not it was started, and closes the probe."""
    await probed.monitor.stop()
    assert probed.probe.closed
    assert repr(probed.monitor) == "<Monitor upstream api stopped>"


# --- real probes -----------------------------------------------------------------------------------------------


def member(text, address="127.0.0.1"):
    target = TargetSpec.parse(text)
    return SimpleNamespace(target=target, record=SimpleNamespace(address=address), port=target.port)


@contextlib.asynccontextmanager
async def serving(handler, tls=None):
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_http_probe():
    """An http probe asks for the path with the target's Host and the configured headers, on a new connection."""
    seen = []

    async def handler(request):
        seen.append((request.method, request.raw_path, request.host, request.headers.get("X-Probe")))
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    probe = HttpProbe(ActiveChecks(http_path="/up%20there", headers={"X-Probe": ("yes",)}), None, None)
    async with serving(handler) as port:
        assert await probe(member(f"api.test:{port}")) == 302
    await probe.close()
    assert seen == [("GET", "/up%20there", f"api.test:{port}", "yes")]


async def test_http_probe_over_tls():
    """An https probe sends the configured server name and verifies the certificate where told to."""
    authority = trustme.CA()
    tls = server_tls(authority, "check.test")
    trusted = make_context(TlsInputs(verify=True, authorities=(authority.cert_pem.bytes().decode(),)))

    async def handler(request):
        return web.Response(status=200)

    async with serving(handler, tls) as port:
        checks = ActiveChecks(type="https", https_sni="check.test")
        probe = make_probe(checks, None, lambda: trusted)
        assert await probe(member(f"api.test:{port}")) == 200
        await probe.close()
        strict = make_probe(ActiveChecks(type="https"), None, lambda: trusted)
        with pytest.raises(GatewayError, match="certificate"):
            await strict(member(f"api.test:{port}"))
        await strict.close()
        lax = make_probe(ActiveChecks(type="https"), None, lambda: make_context(TlsInputs()))
        assert await lax(member(f"api.test:{port}")) == 200
        await lax.close()


def server_tls(authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_http_probe_failures():
    """Refusal and silence are told apart."""
    probe = HttpProbe(ActiveChecks(timeout=0.1), None, None)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(GatewayError) as silent:
            await probe(member(f"api.test:{port}"))
    with pytest.raises(GatewayError) as refused:
        await probe(member(f"api.test:{port}"))
    await probe.close()
    assert silent.value.kind is Kind.READ_TIMEOUT
    assert refused.value.kind is Kind.CONNECT_FAILED


async def test_tcp_probe():
    """A tcp probe is content with a connection; grpc checks are made the same way."""

    async def handler(request):
        return web.Response()

    for kind in ("tcp", "grpc"):
        probe = make_probe(ActiveChecks(type=kind), None, lambda: None)
        assert isinstance(probe, TcpProbe)
        async with serving(handler) as port:
            assert await probe(member(f"api.test:{port}")) == 0
        with pytest.raises(GatewayError) as refused:
            await probe(member(f"api.test:{port}"))
        assert refused.value.kind is Kind.CONNECT_REFUSED
        await probe.close()
