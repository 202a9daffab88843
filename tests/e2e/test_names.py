"""Where a service's host leads: localhost, the hosts file, and a name server whose answers change."""

from __future__ import annotations

import asyncio
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from e2e_gateway import config_for
from e2e_wire import OK, PATIENCE

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class NameServer(asyncio.DatagramProtocol):
    """A name server: ``zone`` maps (name, type) to values; with ``failing`` set it answers SERVFAIL."""

    def __init__(self):
        self.zone = {}
        self.failing = False
        self.asked = 0

    def connection_made(self, transport):
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data, addr):
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if self.failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif (name, kind) in self.zone:
            answer.answer.append(dns.rrset.from_text(name, 1, "IN", kind, *self.zone[name, kind]))
        elif not any(known == name for known, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.asked += 1
        self.transport.sendto(answer.to_wire(), addr)

    async def is_asked(self, times):
        """Wait until it has been asked so many times more."""
        wanted, give_up = self.asked + times, time.monotonic() + PATIENCE
        while self.asked < wanted:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.02)


@pytest.fixture
async def names():
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    yield server
    transport.close()
    await asyncio.sleep(0)


@pytest.fixture
async def second():
    """Give what starts a further origin on 127.0.0.2, at the port of the first."""
    servers = []

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecond")
        writer.close()

    async def start(port):
        servers.append(await asyncio.start_server(answer, "127.0.0.2", port))

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


def settings(names, **more):
    return {"dns_resolver": f"127.0.0.1:{names.port}", **more}


async def test_localhost_needs_no_name_server(gateway, origin, raw, names):
    """Localhost is this machine, whatever the name server would say."""
    upstream = await origin(OK)
    proxy = await gateway(f"http://localhost:{upstream.port}", **settings(names, dns_hostsfile="/dev/null"))
    assert (await (await raw(proxy.port)).ask(REQUEST)).status == 200
    assert names.asked == 0


async def test_the_hosts_file_comes_before_the_name_server(gateway, origin, raw, names, tmp_path):
    """A name in the hosts file is not asked for."""
    upstream = await origin(OK)
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 app.test\n")
    proxy = await gateway(f"http://app.test:{upstream.port}", **settings(names, dns_hostsfile=str(hosts)))
    assert (await (await raw(proxy.port)).ask(REQUEST)).status == 200
    assert (await upstream.request())["host"] == f"app.test:{upstream.port}"
    assert names.asked == 0


async def test_a_name_is_resolved(gateway, origin, raw, names):
    """The address is the name server's, the Host the name."""
    upstream = await origin(OK)
    names.zone["app.test.", "A"] = ["127.0.0.1"]
    proxy = await gateway(f"http://app.test:{upstream.port}", **settings(names))
    assert (await (await raw(proxy.port)).ask(REQUEST)).status == 200
    assert (await upstream.request())["host"] == f"app.test:{upstream.port}"


async def test_a_service_record_gives_the_port(gateway, origin, raw, names):
    """An SRV record's port takes the place of the service's."""
    upstream = await origin(OK)
    names.zone["app.test.", "SRV"] = [f"0 0 {upstream.port} host.test."]
    names.zone["host.test.", "A"] = ["127.0.0.1"]
    proxy = await gateway("http://app.test:1", **settings(names))
    assert (await (await raw(proxy.port)).ask(REQUEST)).status == 200


async def test_a_change_of_address_is_followed(gateway, origin, raw, names, second):
    """Once the old answer has expired, requests go to the new address."""
    upstream = await origin(OK)
    await second(upstream.port)
    names.zone["app.test.", "A"] = ["127.0.0.1"]
    proxy = await gateway(f"http://app.test:{upstream.port}", **settings(names))
    client = await raw(proxy.port)
    assert (await client.ask(REQUEST)).body == b"ok"
    names.zone["app.test.", "A"] = ["127.0.0.2"]
    await names.is_asked(2)
    assert (await client.ask(REQUEST)).body == b"second"


async def test_the_last_answer_is_kept_while_the_name_server_fails(gateway, origin, raw, names):
    """An answer that has expired is used on as long as there is no other."""
    upstream = await origin(OK)
    names.zone["app.test.", "A"] = ["127.0.0.1"]
    proxy = await gateway(f"http://app.test:{upstream.port}", **settings(names, dns_error_ttl="100ms"))
    client = await raw(proxy.port)
    assert (await client.ask(REQUEST)).status == 200
    names.failing = True
    await names.is_asked(12)  # four types of record at a time: well past the second that the answer held
    assert (await client.ask(REQUEST)).status == 200


@pytest.mark.parametrize("failing", [False, True], ids=["no such name", "servers fail"])
async def test_a_name_without_an_address_is_a_503(gateway, raw, names, failing):
    """The client hears that the name was not resolved, the log why."""
    names.failing = failing
    names.zone["other.test.", "A"] = ["127.0.0.1"]
    proxy = await gateway("http://app.test:80", **settings(names))
    answer = await (await raw(proxy.port)).ask(REQUEST.replace(b"\r\n\r\n", b"\r\nAccept: */*\r\n\r\n"))
    assert answer.status == 503
    assert b'"message":"name resolution failed"' in answer.body
    assert b"app.test" not in answer.body
    (line,) = await proxy.log_lines()
    assert line["error"] == "name_resolution"
    assert "app.test" in line["error_cause"]


async def test_a_target_that_cannot_be_resolved_leaves_the_others(gateway, origin, raw, names):
    """An upstream goes on with the targets whose names have an address, and status tells of the one without."""
    upstream = await origin(OK)
    names.zone["good.test.", "A"] = ["127.0.0.1"]
    config = config_for(
        "http://pool",
        upstreams=[
            {
                "name": "pool",
                "targets": [
                    {"target": f"good.test:{upstream.port}"},
                    {"target": f"bad.test:{upstream.port}"},
                ],
            }
        ],
    )
    proxy = await gateway(config, **settings(names))
    client = await raw(proxy.port)
    assert [(await client.ask(REQUEST)).status for _ in range(6)] == [200] * 6
    states = {target.target: target.health for target in proxy.worker.targets()}
    assert states[f"bad.test:{upstream.port}"] == "DNS_ERROR"
