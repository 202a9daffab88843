"""Asking name servers: one lookup of one host, whatever records it has. Off the request path.

dnspython is used for it: it gives the time to live of every type of record, SRV included, follows
``resolv.conf`` with its search list, and is pure Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver

from proxyd.errors import ProxydError
from proxyd.upstream.addresses import is_address, split_port
from proxyd.upstream.hosts import DEFAULT_PATH, Hosts

QUERY_TIMEOUT = 2.0  # seconds for one server's answer
LIFETIME = 5.0  # seconds for one type of record, over all servers and search domains
MAX_ALIASES = 8  # CNAME and SRV steps, against loops
DEFAULT_ORDER = ("LAST", "SRV", "A", "AAAA", "CNAME")
FOREVER = 2.0**31  # seconds: what the hosts file says holds


class NamingError(ProxydError):
    """A host has no usable answer."""


class NameNotFoundError(NamingError):
    """The name servers say that there is no such name, or no address under it."""


class LookupFailedError(NamingError):
    """The name servers could not be asked, or could not answer."""


@dataclass(frozen=True, slots=True)
class Record:
    """One address. ``port`` and ``weight`` come from SRV records and are None elsewhere; so is ``name``."""

    address: str
    port: int | None = None
    weight: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An answer that holds for ``ttl`` seconds."""

    records: tuple[Record, ...]
    ttl: float


class DnsClient:
    """Looks hosts up in the hosts file, then at the name servers.

    ``order`` lists the types of records tried; LAST is the one that answered last time. ``servers`` are
    addresses with an optional port; empty is what ``resolv_conf`` says. Raises ValueError for a bad address.
    """

    def __init__(
        self,
        order: tuple[str, ...] = DEFAULT_ORDER,
        servers: tuple[str, ...] = (),
        hosts_file: str = DEFAULT_PATH,
        resolv_conf: str = "/etc/resolv.conf",
    ) -> None:
        self._order = tuple(kind.upper() for kind in order)
        self._hosts = Hosts(hosts_file)
        self._last: dict[str, str] = {}
        self._resolver = _resolver(servers, resolv_conf)

    def known(self, host: str) -> tuple[Record, ...]:
        """Return what needs no name server: IP addresses and the names in the hosts file."""
        if is_address(host):
            return (Record(host),)
        return tuple(Record(address) for address in self._hosts.get(host, self._order))

    async def lookup(self, host: str) -> Found:
        """Look a host up; raises NameNotFoundError or LookupFailedError."""
        return await self._lookup(host, MAX_ALIASES)

    async def _lookup(self, host: str, depth: int) -> Found:
        if known := self.known(host):
            return Found(known, FOREVER)
        if not depth:
            raise LookupFailedError(f"{host}: more than {MAX_ALIASES} aliases")
        problems: list[NamingError] = []
        for kind in self._kinds(host):
            try:
                found = await self._ask(host, kind, depth)
            except NamingError as error:
                problems.append(error)
            else:
                self._last[host] = kind
                return found
        # A type that could not be asked might have had the answer.
        for problem in problems:
            if isinstance(problem, LookupFailedError):
                raise problem
        raise NameNotFoundError(str(problems[-1]) if problems else f"{host}: no type of record to ask for")

    def _kinds(self, host: str) -> list[str]:
        kinds: list[str] = []
        for entry in self._order:
            kind = self._last.get(host, "") if entry == "LAST" else entry
            if kind and kind not in kinds:
                kinds.append(kind)
        return kinds

    async def _ask(self, host: str, kind: str, depth: int) -> Found:
        answer, ttl = await self._query(host, kind)
        if kind in {"A", "AAAA"}:
            return Found(tuple(Record(data.address) for data in answer), ttl)
        if kind == "CNAME":
            found = await self._lookup(answer[0].target.to_text(), depth - 1)
            return Found(found.records, min(ttl, found.ttl))
        return await self._follow_services(host, answer, ttl, depth)

    async def _follow_services(self, host: str, answer: list[Any], ttl: float, depth: int) -> Found:
        # RFC 2782: only the lowest priority counts while its targets answer; "." is no service at all.
        entries = [data for data in answer if data.target.to_text() != "."]
        best = min((data.priority for data in entries), default=0)
        records: list[Record] = []
        problem: NamingError = NameNotFoundError(f"{host}: the service is decidedly not available")
        for data in entries:
            if data.priority != best:
                continue
            name = data.target.to_text(omit_final_dot=True)
            try:
                found = await self._lookup(f"{name}.", depth - 1)
            except NamingError as error:
                problem = error
                continue
            ttl = min(ttl, found.ttl)
            # Kong counts a weight of 0 as 1: RFC 2782 gives it a very small chance, not none.
            records += (Record(record.address, data.port, data.weight or 1, name) for record in found.records)
        if not records:
            raise problem
        return Found(tuple(records), ttl)

    async def _query(self, host: str, kind: str) -> tuple[list[Any], float]:
        try:
            answer = await self._resolver.resolve(host, kind, search=True, raise_on_no_answer=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.YXDOMAIN) as error:
            raise NameNotFoundError(f"{host}: no such name") from error
        except dns.exception.Timeout as error:
            raise LookupFailedError(f"{host}: no answer from the name servers") from error
        except dns.resolver.NoNameservers as error:
            raise LookupFailedError(f"{host}: the name servers refuse or fail") from error
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise LookupFailedError(f"{host}: {error}") from error
        if answer.rrset is None:
            raise NameNotFoundError(f"{host}: no {kind} record")
        # The shortest of the chain of aliases that led here.
        return list(answer), float(answer.chaining_result.minimum_ttl)


def _resolver(servers: tuple[str, ...], resolv_conf: str) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    try:
        resolver.read_resolv_conf(resolv_conf)
    except dns.resolver.NoResolverConfiguration:
        resolver.nameservers = ["127.0.0.1"]  # resolv.conf(5): the default where there is no such file
    if servers:
        resolver.nameservers = [_server(server) for server in servers]
    resolver.timeout = QUERY_TIMEOUT
    resolver.lifetime = LIFETIME
    return resolver


def _server(text: str) -> dns.nameserver.Nameserver:
    host, port = split_port(text, 53)
    if not is_address(host):
        raise ValueError(f"{text}: a name server is given by its address")
    return dns.nameserver.Do53Nameserver(host, port)
