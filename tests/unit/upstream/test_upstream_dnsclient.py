from __future__ import annotations

import asyncio

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from proxyd.upstream import dnsclient
from proxyd.upstream.dnsclient import FOREVER, DnsClient, LookupFailedError, NameNotFoundError, Record
from proxyd.upstream.hosts import Hosts


class Server(asyncio.DatagramProtocol):
    """A name server on loopback: ``zone`` holds rrset texts by (name, type); other names do not exist."""

    def __init__(self, zone):
        self.zone = {}
        for text in zone:
            rrset = dns.rrset.from_text(*text)
            self.zone[(text[0].lower(), text[3])] = rrset
        self.rcodes = {}
        self.silent = set()
        self.asked = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if kind in self.silent:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if kind in self.rcodes:
            answer.set_rcode(self.rcodes[kind])
        else:
            self.fill(answer, name, kind)
        self.transport.sendto(answer.to_wire(), addr)

    def fill(self, answer, name, kind):
        while (name, kind) not in self.zone and (name, "CNAME") in self.zone:
            alias = self.zone[(name, "CNAME")]
            answer.answer.append(alias)
            name = alias[0].target.to_text().lower()
        if (name, kind) in self.zone:
            answer.answer.append(self.zone[(name, kind)])
        elif not answer.answer and not any(known == name for known, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)


ZONE = [
    ("web.test.", 40, "IN", "A", "10.0.0.1", "10.0.0.2"),
    ("six.test.", 40, "IN", "AAAA", "2001:db8::1"),
    ("alias.test.", 7, "IN", "CNAME", "web.test."),
    ("text.test.", 40, "IN", "TXT", "nothing"),
    ("svc.test.", 20, "IN", "SRV", "5 30 8081 web.test.", "5 0 8082 six.test.", "9 1 9999 old.test."),
    ("none.test.", 20, "IN", "SRV", "0 0 0 ."),
    ("loop-a.test.", 5, "IN", "SRV", "0 0 80 loop-b.test."),
    ("loop-b.test.", 5, "IN", "SRV", "0 0 80 loop-a.test."),
    ("short.corp.test.", 30, "IN", "A", "10.0.0.7"),
]


@pytest.fixture
async def server():
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: Server(ZONE), local_addr=("127.0.0.1", 0))
    server.port = transport.get_extra_info("sockname")[1]
    yield server
    transport.close()
    await asyncio.sleep(0)


@pytest.fixture
def client(server, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "# comment\n192.0.2.5 Printer printer.lan # desk\n::1 both\n127.0.0.1 both\nbroken line\n"
    )
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 192.0.2.1\nsearch corp.test\noptions ndots:1\n")
    return DnsClient(servers=(f"127.0.0.1:{server.port}",), hosts_file=str(hosts), resolv_conf=str(resolv))


async def test_addresses_with_their_ttl(client):
    """A records come with the TTL that the server gave."""
    found = await client.lookup("web.test")
    assert {record.address for record in found.records} == {"10.0.0.1", "10.0.0.2"}
    assert found.ttl == 40.0


async def test_ipv6_where_there_is_nothing_else(client):
    """AAAA records are used where there are no A records."""
    assert (await client.lookup("six.test")).records == (Record("2001:db8::1"),)


async def test_an_alias_lives_as_long_as_its_shortest_part(client):
    """The TTL of a CNAME counts if it is shorter than the address's."""
    found = await client.lookup("alias.test")
    assert {record.address for record in found.records} == {"10.0.0.1", "10.0.0.2"}
    assert found.ttl == 7.0


async def test_services(client):
    """SRV records give ports, weights and names, of the lowest priority only; a weight of 0 counts as 1."""
    found = await client.lookup("svc.test")
    assert set(found.records) == {
        Record("10.0.0.1", 8081, 30, "web.test"),
        Record("10.0.0.2", 8081, 30, "web.test"),
        Record("2001:db8::1", 8082, 1, "six.test"),
    }
    assert found.ttl == 20.0


async def test_a_service_that_says_no(client):
    """An SRV target of "." is no address."""
    with pytest.raises(NameNotFoundError):
        await client.lookup("none.test")


async def test_services_that_lead_in_a_circle(client):
    """SRV records that point at one another end in an error."""
    with pytest.raises(LookupFailedError, match="more than 8 aliases"):
        await client.lookup("loop-a.test")


async def test_the_type_that_answered_is_asked_first(client, server):
    """The second lookup of a name begins with the type that had the answer."""
    await client.lookup("web.test")
    server.asked.clear()
    await client.lookup("web.test")
    assert server.asked == [("web.test.", "A")]


async def test_search_domains(client):
    """A short name is looked for in the domains of resolv.conf."""
    assert (await client.lookup("short")).records == (Record("10.0.0.7"),)


async def test_no_such_name(client):
    """NXDOMAIN is told as such."""
    with pytest.raises(NameNotFoundError, match=r"missing\.test: no such name"):
        await client.lookup("missing.test")


async def test_a_name_without_address(client):
    """A name that exists without an address is not found either."""
    with pytest.raises(NameNotFoundError, match="no CNAME record"):
        await client.lookup("text.test")


async def test_failing_servers(client, server):
    """SERVFAIL is a failure, not an absence."""
    server.rcodes = dict.fromkeys(("SRV", "A", "AAAA", "CNAME"), dns.rcode.SERVFAIL)
    with pytest.raises(LookupFailedError, match="the name servers refuse or fail"):
        await client.lookup("web.test")


async def test_a_type_that_fails_does_not_hide_the_others(client, server):
    """A server that cannot answer SRV still gives the addresses."""
    server.rcodes = {"SRV": dns.rcode.NOTIMP}
    assert len((await client.lookup("web.test")).records) == 2


async def test_silent_servers(server, tmp_path, monkeypatch):
    """No answer in time is a failure."""
    monkeypatch.setattr(dnsclient, "LIFETIME", 0.2)
    monkeypatch.setattr(dnsclient, "QUERY_TIMEOUT", 0.1)
    client = DnsClient(("A",), (f"127.0.0.1:{server.port}",), str(tmp_path / "none"), str(tmp_path / "none"))
    server.silent = {"A"}
    with pytest.raises(LookupFailedError, match="no answer from the name servers"):
        await client.lookup("web.test")


@pytest.mark.parametrize("host", ["a" * 70 + ".test", "a..b", "\udcff.test"])
async def test_impossible_names(client, host):
    """A name that DNS cannot carry is an error like any other."""
    with pytest.raises((LookupFailedError, NameNotFoundError)):
        await client.lookup(host)


async def test_what_needs_no_server(client, server):
    """IP addresses, the hosts file and localhost are known without a question, and hold for ever."""
    assert client.known("10.1.1.1") == (Record("10.1.1.1"),)
    assert client.known("2001:db8::5") == (Record("2001:db8::5"),)
    assert client.known("PRINTER.lan") == (Record("192.0.2.5"),)
    assert client.known("localhost") == (Record("127.0.0.1"),)
    assert client.known("web.test") == ()
    assert (await client.lookup("printer")).ttl == FOREVER
    assert server.asked == []


def test_hosts_take_the_first_type_in_order(tmp_path):
    """A name with both kinds of address has the one that the order puts first."""
    path = tmp_path / "hosts"
    path.write_text("::1 both\n127.0.0.1 both both\n")
    hosts = Hosts(str(path))
    assert hosts.get("both", ("LAST", "A", "AAAA")) == ("127.0.0.1",)
    assert hosts.get("both", ("AAAA", "A")) == ("::1",)
    assert repr(hosts) == "<Hosts 1 names>"


def test_localhost_names_without_a_file(tmp_path):
    """The name localhost and what ends in it is loopback even without a hosts file."""
    hosts = Hosts(str(tmp_path / "missing"))
    assert hosts.get("api.localhost", ("A",)) == ("127.0.0.1",)


def test_a_name_server_is_an_address():
    """A name server given by name is refused."""
    with pytest.raises(ValueError, match="given by its address"):
        DnsClient(servers=("dns.test",))
