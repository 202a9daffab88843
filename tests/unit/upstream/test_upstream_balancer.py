from __future__ import annotations

import asyncio

import pytest
import trustme
from upstream_fakes import make_exchange, make_service, make_target, make_upstream, settle

from proxyd.errors import ConfigError, GatewayError, Kind
from proxyd.model.entities import CACertificate, Certificate
from proxyd.model.healthchecks import (
    ActiveChecks,
    Healthchecks,
    HealthyActive,
    PassiveChecks,
    UnhealthyActive,
    UnhealthyPassive,
)
from proxyd.upstream.cluster import TargetSpec
from proxyd.upstream.dnsclient import LookupFailedError, Record

EXCHANGE = make_exchange()
ONE_FAILURE = Healthchecks(passive=PassiveChecks(unhealthy=UnhealthyPassive(http_failures=1, tcp_failures=1)))


def picked(balancer, times=20):
    addresses = set()
    for _ in range(times):
        peer = balancer.pick(EXCHANGE, ())
        balancer.end(EXCHANGE, peer)
        addresses.add(peer.address)
    return addresses


def refusal(balancer):
    with pytest.raises(GatewayError) as caught:
        balancer.pick(EXCHANGE, ())
    return caught.value


# --- hosts named by services ---------------------------------------------------------------------------------


async def test_a_host_that_is_no_upstream(world):
    """A service's host has all its addresses as targets, with the name as their Host."""
    world.lookup.answers["api.test"] = ["10.0.0.1", "10.0.0.2"]
    service = make_service("api.test", 8080)
    balancer = (await world.load(service)).for_service(service)
    assert not balancer.resolved
    await balancer.resolve()
    assert picked(balancer) == {"10.0.0.1:8080", "10.0.0.2:8080"}
    peer = balancer.peers[0]
    assert (peer.label, peer.host_header, peer.host_line) == (
        "api.test:8080",
        b"api.test:8080",
        b"Host: api.test:8080\r\n",
    )
    assert repr(peer) == "<Peer api.test:8080 at 10.0.0.1:8080 HEALTHCHECKS_OFF inflight=0>"
    assert repr(balancer) == "<Balancer api.test:8080 peers=2>"


@pytest.mark.parametrize(
    ("service", "header", "server_name"),
    [
        (("10.0.0.1", 80, "http"), b"10.0.0.1", None),
        (("10.0.0.1", 443, "http"), b"10.0.0.1:443", None),
        (("10.0.0.1", 443, "https"), b"10.0.0.1", "10.0.0.1"),
        (("10.0.0.1", 80, "wss"), b"10.0.0.1:80", "10.0.0.1"),
        (("2001:db8::1", 80, "http"), b"[2001:db8::1]", None),
        (("2001:db8::1", 81, "http"), b"[2001:db8::1]:81", None),
    ],
)
async def test_host_header_and_server_name(world, service, header, server_name):
    """The Host carries the port unless it is the scheme's own; TLS asks for the name."""
    host, port, protocol = service
    service = make_service(host, port, protocol=protocol)
    balancer = (await world.load(service)).for_service(service)
    peer = balancer.pick(EXCHANGE, ())
    assert (peer.host_header, peer.endpoint.server_name) == (header, server_name)
    assert (peer.endpoint.tls is not None) == (protocol in {"https", "wss"})


async def test_a_missing_name(world):
    """A name that does not exist is a resolution failure, with the cause for the log."""
    service = make_service("none.test")
    balancer = (await world.load(service)).for_service(service)
    await balancer.resolve()
    error = refusal(balancer)
    assert (error.kind, error.status) == (Kind.NAME_RESOLUTION, 503)
    assert error.cause == "none.test: no such name"


async def test_an_address_is_there_at_once(world):
    """Nothing is waited for where the host is an address."""
    service = make_service("10.0.0.1")
    balancer = (await world.load(service)).for_service(service)
    assert balancer.resolved
    assert balancer.pick(EXCHANGE, ()).address == "10.0.0.1:80"


async def test_waiting_ends_with_the_generation(world):
    """Who waits for a name is let go when its generation stops."""
    never = asyncio.get_running_loop().create_future()

    async def lookup(host):
        await never

    world.lookup.lookup = lookup
    service = make_service("slow.test")
    balancers = await world.load(service)
    waiting = asyncio.ensure_future(balancers.for_service(service).resolve())
    await settle()
    assert not waiting.done()
    await balancers.stop()
    await waiting
    assert refusal(balancers.for_service(service)).kind is Kind.NO_TARGET


async def test_new_addresses_are_picked_and_old_ones_closed(world):
    """A change of addresses takes effect at the next pick, keeps common peers, and closes the others' pools."""
    world.lookup.answers["api.test"] = ["10.0.0.1", "10.0.0.2"]
    service = make_service("api.test")
    balancer = (await world.load(service)).for_service(service)
    await balancer.resolve()
    before = {peer.endpoint.host: peer for peer in balancer.peers}
    world.lookup.answers["api.test"] = ["10.0.0.2", "10.0.0.3"]
    await world.sleep.wake()
    assert picked(balancer) == {"10.0.0.2:80", "10.0.0.3:80"}
    assert before["10.0.0.1"].pool.closed
    assert before["10.0.0.2"] in balancer.peers
    assert not before["10.0.0.2"].pool.closed


async def test_service_records(world):
    """SRV records give each address its port, weight and, where wanted, its Host."""
    world.lookup.answers["svc.test"] = [
        Record("10.0.0.1", 8081, 3, "a.test"),
        Record("10.0.0.2", 8082, 1, "b.test"),
    ]
    upstream = make_upstream(use_srv_name=True)
    service = make_service("api")
    balancers = await world.load(upstream, make_target("svc.test:80", 7), service)
    balancer = balancers.for_service(service)
    await balancer.resolve()
    rounds = [balancer.pick(EXCHANGE, ()).host_header for _ in range(8)]
    assert (rounds.count(b"a.test:8081"), rounds.count(b"b.test:8082")) == (6, 2)


# --- upstreams -----------------------------------------------------------------------------------------------


async def test_targets_share_by_weight(world):
    """Targets get their weights' share, and one of weight 0 nothing."""
    upstream, service = make_upstream(), make_service("api")
    targets = [make_target("10.0.0.1:80", 200), make_target("10.0.0.2:80"), make_target("10.0.0.3:80", 0)]
    balancer = (await world.load(upstream, service, *targets)).for_service(service)
    rounds = [balancer.pick(EXCHANGE, ()).address for _ in range(30)]
    assert [rounds.count(f"10.0.0.{number}:80") for number in (1, 2, 3)] == [20, 10, 0]


async def test_an_upstream_without_targets(world):
    """An upstream of nobody has nobody to pick."""
    service = make_service("api")
    balancer = (await world.load(make_upstream(), service)).for_service(service)
    assert balancer.resolved
    error = refusal(balancer)
    assert (error.kind, error.cause) == (Kind.NO_TARGET, "upstream api: no healthy target with a weight")


async def test_one_target_s_name_fails(world):
    """A target without an address is left out, and listed as such."""
    world.lookup.answers["bad.test"] = LookupFailedError("bad.test: no answer")
    upstream, service = make_upstream(), make_service("api")
    balancers = await world.load(upstream, service, make_target("10.0.0.1:80"), make_target("bad.test:80"))
    assert balancers.for_service(service).resolved
    await settle()
    assert picked(balancers.for_service(service)) == {"10.0.0.1:80"}
    assert [(row.target, row.address, row.state.value) for row in balancers.states()] == [
        ("10.0.0.1:80", "10.0.0.1:80", "HEALTHCHECKS_OFF"),
        ("bad.test:80", "", "DNS_ERROR"),
    ]


async def test_host_header_of_the_upstream(world):
    """The upstream's host_header takes the place of the targets' names, in TLS too."""
    upstream = make_upstream(host_header="public.test")
    service = make_service("api", protocol="https")
    balancer = (await world.load(upstream, service, make_target("10.0.0.1:443"))).for_service(service)
    peer = balancer.pick(EXCHANGE, ())
    assert (peer.host_header, peer.endpoint.server_name) == (b"public.test", "public.test")


async def test_services_share_a_balancer_unless_their_tls_differs(world):
    """Services of one upstream share its balancer; another way of speaking makes another one."""
    first = make_service("api", id="s1")
    second = make_service("api", 9999, id="s2")
    secure = make_service("api", id="s3", protocol="https")
    verified = make_service("api", id="s4", protocol="https", tls_verify=True)
    balancers = await world.load(make_upstream(), make_target("10.0.0.1:80"), first, second, secure, verified)
    found = [balancers.for_service(service) for service in (first, second, secure, verified)]
    assert found[0] is found[1]
    assert len(set(found)) == 3
    assert len({balancer.pick(EXCHANGE, ()) for balancer in found}) == 3


async def test_algorithms_are_those_asked_for(world):
    """Each algorithm's name gives that algorithm, and hash_on alone gives hashing."""
    kinds = {}
    for name, fields in {
        "rr": {},
        "lc": {"algorithm": "least-connections"},
        "lat": {"algorithm": "latency"},
        "ch": {"algorithm": "consistent-hashing", "hash_on": "ip"},
        "on": {"hash_on": "ip"},
    }.items():
        service = make_service(name)
        targets = [make_target(f"10.0.0.{number}:80", upstream=name) for number in (1, 2)]
        balancer = (await world.load(make_upstream(name, **fields), service, *targets)).for_service(service)
        kinds[name] = type(balancer.pick.__self__).__name__
    assert kinds == {
        "rr": "RoundRobin",
        "lc": "LeastConnections",
        "lat": "Latency",
        "ch": "ConsistentHashing",
        "on": "ConsistentHashing",
    }


async def test_latency_learns(world):
    """Observed latencies steer the latency algorithm, and failures count as slow."""
    upstream, service = make_upstream(algorithm="latency"), make_service("api")
    targets = [make_target("10.0.0.1:80"), make_target("10.0.0.2:80")]
    balancer = (await world.load(upstream, service, *targets)).for_service(service)
    first, second = balancer.peers
    exchange = make_exchange()
    exchange.asked = 1.0
    balancer.observe(exchange, first, 200, 1.020)
    balancer.observe(exchange, second, 200, 1.050)
    assert picked(balancer) == {first.address}
    balancer.observe_failure(EXCHANGE, first, Kind.CONNECT_REFUSED)
    assert picked(balancer) == {second.address}
    balancer.observe(exchange, second, 503, 1.0001)
    assert second.ewma == pytest.approx(0.050)


# --- health --------------------------------------------------------------------------------------------------


async def test_an_unhealthy_target_gets_nothing(world):
    """A target that failed is left out at once, and with all out there is nobody."""
    upstream, service = make_upstream(healthchecks=ONE_FAILURE), make_service("api")
    targets = [make_target("10.0.0.1:80"), make_target("10.0.0.2:80")]
    balancers = await world.load(upstream, service, *targets)
    balancer = balancers.for_service(service)
    first, second = balancer.peers
    balancer.observe(EXCHANGE, first, 500, 0.1)
    assert picked(balancer) == {second.address}
    balancer.observe_failure(EXCHANGE, second, Kind.RESET)
    assert refusal(balancer).kind is Kind.NO_TARGET
    assert [row.state.value for row in balancers.states()] == ["UNHEALTHY", "UNHEALTHY"]
    assert repr(balancers.for_upstream(upstream)) == "<Cluster upstream api targets=2 healthy=0/2>"


async def test_threshold(world):
    """Below the threshold of available weight, the whole upstream is refused."""
    checks = ONE_FAILURE.model_copy(update={"threshold": 50})
    upstream, service = make_upstream(healthchecks=checks), make_service("api")
    targets = [make_target(f"10.0.0.{number}:80") for number in (1, 2, 3)]
    balancer = (await world.load(upstream, service, *targets)).for_service(service)
    first, second, third = balancer.peers
    balancer.observe(EXCHANGE, first, 500, 0.1)
    assert picked(balancer) == {second.address, third.address}
    balancer.observe(EXCHANGE, second, 500, 0.1)
    assert refusal(balancer).cause == "upstream api: 33.33 % of the weight is available, 50 % needed"


async def test_health_is_shared_by_the_ways_of_speaking(world):
    """What one service learns of a target counts for the other services of the upstream."""
    plain, secure = make_service("api", id="s1"), make_service("api", id="s2", protocol="https")
    targets = [make_target("10.0.0.1:80"), make_target("10.0.0.2:80")]
    balancers = await world.load(make_upstream(healthchecks=ONE_FAILURE), plain, secure, *targets)
    balancers.for_service(plain).observe(EXCHANGE, balancers.for_service(plain).peers[0], 500, 0.1)
    assert picked(balancers.for_service(secure)) == {"10.0.0.2:80"}


# --- reload --------------------------------------------------------------------------------------------------


async def test_a_reload_keeps_peers_and_health(world):
    """Targets that stay keep their peer, pool, load and health; the ones that leave are closed."""
    upstream, service = make_upstream(healthchecks=ONE_FAILURE), make_service("api")
    stays, leaves, down = (make_target(f"10.0.0.{number}:80") for number in (1, 2, 3))
    old = (await world.load(upstream, service, stays, leaves, down)).for_service(service)
    kept, gone, failed = old.peers
    kept.inflight = 3
    old.observe(EXCHANGE, failed, 500, 0.1)
    new = (await world.load(upstream, service, stays, down)).for_service(service)
    assert new.peers == [kept, failed]
    assert (kept.pool.closed, gone.pool.closed, kept.inflight) == (False, True, 3)
    assert picked(new) == {kept.address}
    assert repr(world.registry) == "<Registry peers=2 healths=2>"


async def test_late_answers_of_the_old_generation_count(world):
    """An exchange that began before a reload still tells the new generation what it learnt."""
    upstream, service = make_upstream(healthchecks=ONE_FAILURE), make_service("api")
    targets = [make_target("10.0.0.1:80"), make_target("10.0.0.2:80")]
    old = (await world.load(upstream, service, *targets)).for_service(service)
    first, second = old.peers
    new = (await world.load(upstream, service, *targets)).for_service(service)
    old.observe(EXCHANGE, first, 500, 0.1)
    assert picked(new) == {second.address}


async def test_a_target_that_leaves_and_returns_starts_anew(world):
    """Nothing stays unhealthy because of a configuration that is gone."""
    upstream, service = make_upstream(healthchecks=ONE_FAILURE), make_service("api")
    target, other = make_target("10.0.0.1:80"), make_target("10.0.0.2:80")
    balancer = (await world.load(upstream, service, target, other)).for_service(service)
    balancer.observe(EXCHANGE, balancer.peers[0], 500, 0.1)
    await world.load(upstream, service, other)
    balancer = (await world.load(upstream, service, target, other)).for_service(service)
    assert picked(balancer) == {"10.0.0.1:80", "10.0.0.2:80"}


async def test_changed_checks_start_anew(world):
    """A target that was found unhealthy by other rules is given its chance; its pool stays."""
    service, target = make_service("api"), make_target("10.0.0.1:80")
    balancer = (await world.load(make_upstream(healthchecks=ONE_FAILURE), service, target)).for_service(
        service
    )
    peer = balancer.peers[0]
    balancer.observe(EXCHANGE, peer, 500, 0.1)
    changed = Healthchecks(passive=PassiveChecks(unhealthy=UnhealthyPassive(http_failures=5)))
    balancer = (await world.load(make_upstream(healthchecks=changed), service, target)).for_service(service)
    assert picked(balancer) == {"10.0.0.1:80"}
    assert balancer.peers == [peer]
    assert not peer.pool.closed


async def test_a_name_known_before_a_reload_is_known_after(world):
    """The new generation starts with the addresses that the old one had, without asking."""
    world.lookup.answers["api.test"] = ["10.0.0.1"]
    service = make_service("api.test")
    await (await world.load(service)).for_service(service).resolve()
    balancer = (await world.load(service)).for_service(service)
    assert balancer.resolved
    assert picked(balancer) == {"10.0.0.1:80"}
    assert world.lookup.asked == ["api.test"]


async def test_a_reload_keeps_tls_contexts_in_use(world):
    """An unchanged service keeps its TLS context, and with it its peers; unused contexts are forgotten."""
    lax = make_service("10.0.0.1", 443, id="s1", protocol="https")
    strict = make_service("10.0.0.2", 443, id="s2", protocol="https", tls_verify=True)
    peers = (await world.load(lax, strict)).for_service(lax).peers
    assert (await world.load(lax)).for_service(lax).peers == peers
    assert repr(world.registry.contexts) == "<Contexts 1>"


async def test_everything_is_let_go(world):
    """After the last generation nothing is held; a stop without a start is harmless."""
    service = make_service("10.0.0.1")
    balancers = await world.load(service)
    await balancers.stop()
    world.current = None
    assert repr(world.registry) == "<Registry peers=0 healths=0>"
    unstarted = world.build(service)
    await unstarted.stop()
    assert refusal(unstarted.for_service(service)).cause == "10.0.0.1:80: not started"


# --- building ------------------------------------------------------------------------------------------------


def tls_inputs(world):
    (inputs,) = world.registry.contexts._contexts
    return inputs


async def test_tls_of_a_service(world):
    """Verification, authorities, depth and own certificate come from the service, else settings and upstream."""
    issuer = trustme.CA()
    own = issuer.issue_cert("gateway.test")
    chain = own.cert_chain_pems[0].bytes().decode()
    certificate = Certificate(id="c1", cert=chain, key=own.private_key_pem.bytes().decode())
    ca = CACertificate(id="ca1", cert=issuer.cert_pem.bytes().decode())
    world.settings.tls_verify = True
    service = make_service("api", protocol="https", tls_verify_depth=2, ca_certificates=(ca.id,))
    world.build(make_upstream(client_certificate="c1"), service, certificate, ca)
    inputs = tls_inputs(world)
    assert (inputs.verify, inputs.depth, inputs.authorities) == (True, 2, (ca.cert,))
    assert inputs.certificate == chain


async def test_tls_settings(world, tmp_path):
    """Without authorities of its own, a service trusts the file that the settings name."""
    path = tmp_path / "ca.pem"
    path.write_text(trustme.CA().cert_pem.bytes().decode())
    world.settings.trusted_certificate = str(path)
    world.build(make_service("api.test", protocol="https", tls_verify=True))
    assert tls_inputs(world).authorities == (path.read_text(),)


async def test_unusable_material_is_a_configuration_error(world):
    """Every service and upstream with unusable settings is named."""
    ca = CACertificate(id="ca1", cert="/nowhere/ca.pem")
    services = [
        make_service(
            "a.test", id=name, name=name, protocol="https", tls_verify=True, ca_certificates=("ca1",)
        )
        for name in ("one", "two")
    ]
    with pytest.raises(ConfigError) as caught:
        world.build(ca, *services)
    assert [problem.path for problem in caught.value.problems] == ["services[one]", "services[two]"]
    assert caught.value.problems[0].message == "/nowhere/ca.pem: No such file or directory"


async def test_grpc_checks_are_made_as_tcp(world):
    """Checks that are made otherwise than configured are warned of."""
    active = ActiveChecks(
        type="grpc", healthy=HealthyActive(interval=9), unhealthy=UnhealthyActive(interval=9, tcp_failures=1)
    )
    balancers = world.build(make_upstream(healthchecks=Healthchecks(active=active)))
    assert balancers.warnings == ["upstream api: active checks of type grpc are made as tcp"]


@pytest.mark.parametrize(
    ("text", "label", "host", "port"),
    [
        ("a.test:81", "a.test:81", "a.test", 81),
        ("a.test", "a.test:8000", "a.test", 8000),
        ("[2001:db8::1]:81", "[2001:db8::1]:81", "2001:db8::1", 81),
        ("2001:db8::1", "[2001:db8::1]:8000", "2001:db8::1", 8000),
    ],
)
def test_targets_as_written(text, label, host, port):
    """A target's port is 8000 where none is given."""
    target = TargetSpec.parse(text)
    assert (target.label, target.host, target.port) == (label, host, port)


@pytest.mark.parametrize("text", ["[::1", "[::1]80", "a.test:eighty"])
def test_targets_that_are_none(text):
    """What is no target is refused."""
    with pytest.raises(ValueError, match=r"not an address|invalid literal"):
        TargetSpec.parse(text)
