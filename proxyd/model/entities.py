"""Kong's entities, flat and resolved: references are ids, defaults are Kong's, names are Kong's.

``decode`` makes these out of a file, in which they may be nested and may refer to one another by name. What
stands here is what the rest of proxyd works with. Fields and defaults follow Kong 3.9's
``kong/db/schema/entities/*.lua``; times are milliseconds where Kong's are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field

from proxyd.model.base import Milliseconds, Port, Stored
from proxyd.model.credentials import (
    ACL,
    BasicAuthCredential,
    HMACAuthCredential,
    JWTSecret,
    KeyAuthCredential,
    MTLSAuthCredential,
)
from proxyd.model.grammar import (
    HeaderName,
    Host,
    HostName,
    HostPattern,
    Method,
    Name,
    PathPrefix,
    RouteHeaderName,
    RouteHeaderValue,
    RoutePath,
    ServerName,
    TargetAddress,
    Text,
)
from proxyd.model.healthchecks import Healthchecks
from proxyd.model.resilience import Resilience

if TYPE_CHECKING:
    from proxyd.crypto.api_keys import Pepper
    from proxyd.errors import Place

__all__ = [
    "ACL",
    "SNI",
    "BasicAuthCredential",
    "CACertificate",
    "Certificate",
    "Configuration",
    "Consumer",
    "HMACAuthCredential",
    "HashOn",
    "Healthchecks",
    "JWTSecret",
    "KeyAuthCredential",
    "MTLSAuthCredential",
    "Plugin",
    "Protocol",
    "Resilience",
    "Route",
    "Service",
    "Stored",
    "Target",
    "Upstream",
]

Protocol = Literal["http", "https", "ws", "wss", "grpc", "grpcs"]
ServiceProtocol = Literal[Protocol, "memory"]
StreamProtocol = Literal["tcp", "tls", "tls_passthrough", "udp"]
_STREAMS = frozenset(get_args(StreamProtocol))


class Service(Stored):
    """A backend, and how to talk to it."""

    name: Name | None = None
    """Unique name, for references."""
    enabled: bool = True
    """Whether its routes answer at all."""
    protocol: ServiceProtocol = "http"
    """How the backend is spoken to; ws and wss mean http and https, memory an application mounted under ``proxyd.apps``."""
    host: Host
    """Host name or address, or the name of an upstream."""
    port: Port = 80
    """Port of the backend."""
    path: PathPrefix | None = None
    """Prefix put before the path of every request."""
    retries: int = Field(5, ge=0, le=32767)
    """How many further tries a failed connection gets."""
    connect_timeout: Milliseconds = 60_000
    """Milliseconds to establish a connection."""
    write_timeout: Milliseconds = 60_000
    """Milliseconds between two successful writes to the backend."""
    read_timeout: Milliseconds = 60_000
    """Milliseconds between two successful reads from the backend."""
    tls_verify: bool | None = None
    """Whether the backend's certificate is verified; unset: the setting of the same name."""
    tls_verify_depth: int | None = Field(None, ge=0, le=64)
    """Longest chain of intermediate certificates accepted."""
    client_certificate: str | None = None
    """Id of the certificate shown to the backend."""
    ca_certificates: tuple[str, ...] | None = None
    """Ids of the CA certificates that the backend's certificate must lead to."""


class Route(Stored):
    """Which requests go to a service."""

    name: Name | None = None
    """Unique name, for references."""
    protocols: tuple[Protocol, ...] = Field(("http", "https"), min_length=1)
    """Schemes that the route answers."""
    methods: tuple[Method, ...] | None = None
    """HTTP methods matched, in upper case."""
    hosts: tuple[HostPattern, ...] | None = None
    """Host names matched, with a wildcard at one end and a port allowed."""
    paths: tuple[RoutePath, ...] | None = None
    """String prefixes, or regular expressions behind a ``~``."""
    headers: dict[RouteHeaderName, tuple[RouteHeaderValue, ...]] | None = None
    """Header values matched, per header name; ``~*`` marks a regular expression."""
    snis: tuple[ServerName, ...] | None = None
    """Server names of the TLS handshake matched; ignored for plain http."""
    https_redirect_status_code: Literal[426, 301, 302, 307, 308] = 426
    """Answer to a plain request on a route for https only."""
    regex_priority: int = 0
    """Rank among routes matched by regular expression; higher first."""
    strip_path: bool = True
    """Whether the matched prefix is taken off before forwarding."""
    path_handling: Literal["v0", "v1"] = "v0"
    """How the service's path and the request's are joined."""
    preserve_host: bool = False
    """Whether the client's Host goes to the backend."""
    request_buffering: bool = True
    """Accepted for Kong's sake: proxyd always streams."""
    response_buffering: bool = True
    """Accepted for Kong's sake: proxyd always streams."""
    service: str | None = None
    """Id of the service."""


class Consumer(Stored):
    """Who calls."""

    username: Text | None = None
    """Unique name."""
    custom_id: Text | None = None
    """Unique id in another system."""

    @property
    def label(self) -> str:
        """What it is called in logs and metrics: its username, or else its custom id, or else its id."""
        return self.username or self.custom_id or self.id


class Plugin(Stored):
    """One plugin instance: its configuration and its scope."""

    name: Text
    """Name of the plugin."""
    instance_name: Name | None = None
    """Unique name of this instance."""
    config: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Settings; validated by the plugin's own Config class."""
    enabled: bool = True
    """Whether it runs."""
    protocols: tuple[Protocol | StreamProtocol, ...] = Field(
        ("http", "https", "ws", "wss", "grpc", "grpcs"), min_length=1
    )
    """Whether it is for requests: one of http and its kin is enough, and it runs on all of them, as in Kong."""
    service: str | None = None
    """Id of the service it is limited to."""
    route: str | None = None
    """Id of the route it is limited to."""
    consumer: str | None = None
    """Id of the consumer it is limited to."""

    @property
    def for_requests(self) -> bool:
        """Whether it runs here: one of its protocols is of Kong's http subsystem."""
        return not _STREAMS.issuperset(self.protocols)


HashOn = Literal["none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"]


class Upstream(Stored):
    """A name behind which several targets share the load."""

    name: HostName
    """Unique name, used as the host of services."""
    algorithm: Literal["round-robin", "consistent-hashing", "least-connections", "latency"] = "round-robin"
    """How a target is chosen."""
    slots: int = Field(10_000, ge=10, le=65_536)
    """Points on the ring."""
    hash_on: HashOn = "none"
    """What is hashed."""
    hash_fallback: HashOn = "none"
    """What is hashed when the first is absent."""
    hash_on_header: HeaderName | None = None
    """Header that is hashed."""
    hash_fallback_header: HeaderName | None = None
    """Header that is hashed as the fallback."""
    hash_on_cookie: str | None = None
    """Cookie that is hashed; set on the answer when the request has none."""
    hash_on_cookie_path: PathPrefix = "/"
    """Path of that cookie."""
    hash_on_query_arg: str | None = None
    """Query argument that is hashed."""
    hash_fallback_query_arg: str | None = None
    """Query argument that is hashed as the fallback."""
    hash_on_uri_capture: str | None = None
    """Capture of the route's regular expression that is hashed."""
    hash_fallback_uri_capture: str | None = None
    """Capture that is hashed as the fallback."""
    host_header: Host | None = None
    """Host sent to the targets in place of their own."""
    client_certificate: str | None = None
    """Id of the certificate shown to the targets."""
    use_srv_name: bool = False
    """Whether the Host is the name from the SRV record."""
    healthchecks: Healthchecks = Healthchecks()
    """How failing targets are found."""
    resilience: Resilience | None = None
    """How it is kept from failing whole; not Kong's."""


class Target(Stored):
    """One address behind an upstream."""

    target: TargetAddress
    """``host:port``; the port is 8000 where none is given."""
    weight: int = Field(100, ge=0, le=65_535)
    """Share of the load; 0 takes the target out."""
    upstream: str
    """Id of the upstream."""


class Certificate(Stored):
    """A certificate chain with its key, in PEM or as a path."""

    cert: Text
    """Certificate chain."""
    key: Text = Field(repr=False)
    """Private key."""
    cert_alt: str | None = None
    """Second chain, of another key type."""
    key_alt: str | None = Field(None, repr=False)
    """Key of the second chain."""


class CACertificate(Stored):
    """A certificate that others must lead to."""

    cert: Text
    """Certificate in PEM or as a path."""
    cert_digest: str | None = None
    """SHA-256 of it, in hexadecimal."""


class SNI(Stored):
    """A server name and the certificate shown for it."""

    name: ServerName
    """Host name, with a wildcard at one end allowed."""
    certificate: str
    """Id of the certificate."""


@dataclass(slots=True)
class Configuration:
    """Every entity of one file by id, in the order of the file.

    ``transform`` is the file's ``_transform``: whether passwords in it are plain and yet to be hashed. ``peppers`` are what
    keys that stand hashed in it are compared under.
    ``places`` tells by id where entities stand in the file, as far as they came from one, and where applications do,
    by ``proxyd.apps.NAME``.
    """

    services: dict[str, Service] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    consumers: dict[str, Consumer] = field(default_factory=dict)
    plugins: dict[str, Plugin] = field(default_factory=dict)
    upstreams: dict[str, Upstream] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    ca_certificates: dict[str, CACertificate] = field(default_factory=dict)
    snis: dict[str, SNI] = field(default_factory=dict)
    keyauth_credentials: dict[str, KeyAuthCredential] = field(default_factory=dict)
    basicauth_credentials: dict[str, BasicAuthCredential] = field(default_factory=dict)
    hmacauth_credentials: dict[str, HMACAuthCredential] = field(default_factory=dict)
    jwt_secrets: dict[str, JWTSecret] = field(default_factory=dict)
    mtls_auth_credentials: dict[str, MTLSAuthCredential] = field(default_factory=dict)
    acls: dict[str, ACL] = field(default_factory=dict)
    transform: bool = True
    peppers: tuple[Pepper, ...] = ()
    places: dict[str, Place] = field(default_factory=dict)
