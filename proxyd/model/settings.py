"""What Kong keeps in kong.conf: the daemon's own settings, under Kong's names where Kong has one.

Each field's value is given as text (environment) or as YAML (the ``proxyd:`` block); ``configure`` reads both.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from proxyd.crypto.api_keys import ENVIRONMENT, Pepper
from proxyd.model import units
from proxyd.model.base import Bytes, Entity, Seconds, Switch
from proxyd.model.database import DatabaseUrl, parse_database
from proxyd.model.indicators import Indicators
from proxyd.model.listen import Listen, parse_listen
from proxyd.model.peppers import parse_peppers
from proxyd.model.shipping import Shipped
from proxyd.model.tokens import AdminToken, parse_origins, parse_tokens

TOKENS: Final = {
    "server_tokens": ("server", "via"),
    "latency_tokens": (
        "x-kong-proxy-latency",
        "x-kong-response-latency",
        "x-kong-admin-latency",
        "x-kong-upstream-latency",
    ),
}
PROXY_PROTOCOL: Final = "proxy_protocol"  # of real_ip_header, which names no header then
MAX_WORKERS: Final = 256
OTHER_NAMES: Final = {  # of settings, as kong.conf has them
    "nginx_worker_processes": "workers",
    "admin_gui_origin": "admin_gui_url",
}
_APP_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_REFERENCE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
HEADERS: Final = frozenset(
    {*TOKENS["server_tokens"], *TOKENS["latency_tokens"], "x-kong-request-id", "x-kong-upstream-status"},
)


def _headers(value: object) -> tuple[str, ...]:
    """Return header names in lower case; the two token words stand for several, ``off`` for none."""
    if value is False or value == "off":
        return ()
    names: list[str] = []
    for word in units.words(value):
        lower = word.lower()
        if lower not in TOKENS and lower not in HEADERS:
            listed = ", ".join([*TOKENS, *sorted(HEADERS)])
            raise ValueError(f"'{word}' is no header of the gateway", f"known are {listed}, and off")
        names.extend(TOKENS.get(lower, (lower,)))
    return tuple(dict.fromkeys(names))


def _networks(value: object) -> tuple[str, ...]:
    """Return networks in CIDR notation, and ``unix:`` for unix sockets."""
    networks = []
    for word in units.words(value):
        try:
            networks.append(word if word == "unix:" else str(ipaddress.ip_network(word, strict=False)))
        except ValueError:
            raise ValueError(f"'{word}' is no network", "such as 10.0.0.0/8, ::1/128 or unix:") from None
    return tuple(networks)


def _environment(value: str) -> str:
    if not ENVIRONMENT.fullmatch(value):
        raise ValueError("must be up to 16 lower-case letters and digits", "live")
    return value


def _flavor(value: object) -> object:
    if value in ("traditional", "expressions"):
        raise ValueError(f"the {value} router is not implemented", "traditional_compatible is")
    return value


def _cipher_suite(value: object) -> object:
    if value == "fips":
        raise ValueError("whether OpenSSL is a FIPS module is not looked at", "custom, with ssl_ciphers")
    return value


def _budget(value: object) -> tuple[float, float]:
    edges = tuple(
        units.duration(edge) for edge in (units.words(value) if isinstance(value, str) else _pair(value))
    )
    if len(edges) != 2 or not 0 < edges[0] <= edges[1]:  # noqa: PLR2004 - a lower and an upper edge
        raise ValueError("must be two durations, the lower first", "20ms,40ms")
    return edges[0], edges[1]


def _pair(value: object) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else ()


def _apps(value: object) -> dict[str, str]:
    """Return references to applications by name, out of a mapping or of ``name=module:attribute`` words."""
    if isinstance(value, dict):
        pairs = [(str(name), reference) for name, reference in value.items()]
    else:
        pairs = [
            (name, reference) for name, _, reference in (word.partition("=") for word in units.words(value))
        ]
    for name, reference in pairs:
        if not _APP_NAME.fullmatch(name):
            raise ValueError(f"'{name}' is no name of an application", "lower-case letters, digits, - and _")
        if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
            raise ValueError(f"'{name}' must say where the application is", "package.module:attribute")
    return dict(pairs)


def _workers(value: object) -> object:
    """Return a number, or auto; 0 for ``off``."""
    if value is False or value == "off":
        return 0
    if value == "auto":
        return value
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or int(text) > MAX_WORKERS:
        raise ValueError(f"must be a number up to {MAX_WORKERS}, auto, or off", "auto is one per core")
    return int(text)


def _file(value: object) -> object:
    return "off" if value is False else value


def _word(value: object) -> object:
    """Read a switch of YAML as the word that it was."""
    return ("on" if value else "off") if isinstance(value, bool) else value


def _slow(value: object) -> str | float:
    word = _word(value)
    if word in ("on", "off"):
        return str(word)
    try:
        seconds = units.duration(word)
    except ValueError:
        seconds = 0.0
    if not seconds:
        raise ValueError("must be on, off, or a duration", "100ms")
    return seconds


Workers = Annotated[int | Literal["auto"], BeforeValidator(_workers)]
Words = Annotated[tuple[str, ...], BeforeValidator(units.words)]
Listens = Annotated[tuple[Listen, ...], BeforeValidator(parse_listen)]
HeaderNames = Annotated[tuple[str, ...], BeforeValidator(_headers)]
Networks = Annotated[tuple[str, ...], BeforeValidator(_networks)]
Tokens = Annotated[tuple[AdminToken, ...], BeforeValidator(parse_tokens)]
Origins = Annotated[tuple[str, ...], BeforeValidator(parse_origins)]
Peppers = Annotated[
    tuple[Pepper, ...], BeforeValidator(parse_peppers), WithJsonSchema({"type": ["string", "array"]})
]
Environment = Annotated[str, AfterValidator(_environment)]
Database = Annotated[DatabaseUrl | None, BeforeValidator(parse_database)]
SslMode = Literal["auto", "disable", "prefer", "require", "verify-ca", "verify-full"]
Output = Annotated[str, BeforeValidator(_file), Field(min_length=1)]
Protocols = Annotated[tuple[Literal["TLSv1.2", "TLSv1.3"], ...], BeforeValidator(units.words)]
RecordTypes = Annotated[
    tuple[Literal["LAST", "SRV", "A", "AAAA", "CNAME"], ...], BeforeValidator(units.words)
]
Budget = Annotated[tuple[float, float], BeforeValidator(_budget)]
CipherSuite = Annotated[Literal["modern", "intermediate", "old", "custom"], BeforeValidator(_cipher_suite)]
Apps = Annotated[dict[str, str], BeforeValidator(_apps)]
Told = Annotated[Literal["off", "trusted", "on"], BeforeValidator(_word)]
SlowRequests = Annotated[Literal["off", "on"] | float, BeforeValidator(_slow)]
Flavor = Annotated[Literal["traditional_compatible"], BeforeValidator(_flavor)]
LogLevel = Literal["debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"]
MediaType = Literal["text/plain", "text/html", "application/json", "application/xml"]


class Settings(Entity):
    """The daemon's settings. Times are seconds, sizes bytes; ``off`` listeners are empty."""

    # --- listeners
    proxy_listen: Listens = (Listen("0.0.0.0", 8000),)  # noqa: S104 - Kong's default: the gateway is the public side
    """Where clients connect. Flags: ssl, proxy_protocol, backlog=N, reuseport, so_keepalive=on."""
    status_listen: Listens = (Listen("127.0.0.1", 8007),)
    """Where metrics and status are read."""
    admin_listen: Listens = (Listen("127.0.0.1", 8001),)
    """Where the gateway is administered; on an address that others reach, with admin_tokens only."""
    admin_tokens: Tokens = Field((), repr=False)
    """Who may administer it, as ``ROLE:SECRET`` or ``NAME=ROLE:SECRET`` words with a role of viewer, operator or admin; none: whoever is on this machine."""
    admin_gui_url: Origins = ()
    """Pages elsewhere that may use the Admin API from a browser, as URLs; the gateway's own dashboard needs none."""
    admin_session_idle_timeout: Seconds = Field(1800.0, gt=0)
    """How long somebody who has logged in to the dashboard may do nothing."""
    admin_session_absolute_timeout: Seconds = Field(43_200.0, gt=0)
    """How long a login lasts at most."""
    key_pepper: Peppers = Field((), repr=False)
    """Secret of at least 32 characters that API keys are hashed with; several while it is changed: the first is for new keys."""
    key_environment: Environment = "live"
    """What stands for this gateway in the keys that it makes: ``pxd_live_…``."""
    declarative_config: str = "config/proxyd.yml"
    """The file with services, routes and the rest; environment and command line only."""

    # --- database
    database: Database = Field(None, repr=False)
    """Where entities are kept that are changed while the gateway runs: ``sqlite:///FILE``, ``postgresql://…``, or off: in the file alone."""
    database_timeout: Seconds = Field(5.0, gt=0)
    """Longest time that connecting to it, or one thing asked of it, may take."""
    database_audit_retention: Seconds = Field(90 * 86_400.0, gt=0)
    """How long it is kept who changed what."""
    database_undo_retention: Seconds = 7 * 86_400.0
    """How long what was changed is kept as it was, with its secrets, so that a change can be undone; 0 keeps nothing."""
    pg_ssl_mode: SslMode | None = None
    """TLS to PostgreSQL where the URL has no sslmode; none: PGSSLMODE, then auto, which is disable on this machine and verify-full elsewhere."""
    pg_ssl_root_cert: str = ""
    """Who has signed its certificate, where the URL has no sslrootcert: a file in PEM; none: PGSSLROOTCERT, then whom the system trusts."""
    pg_ssl_cert: str = ""
    """Certificate to show it, where the URL has no sslcert: a file in PEM; none: PGSSLCERT."""
    pg_ssl_cert_key: str = ""
    """The key of that, where the URL has no sslkey; none: PGSSLKEY."""
    pg_pool_size: int = Field(4, ge=1, le=100)
    """Most connections to it, beside the one that waits for changes."""

    # --- logs
    log_level: LogLevel = "notice"
    """The least severe event that is logged."""
    proxy_access_log: Output = "/dev/stdout"
    """Where a line per request goes: a path, or off."""
    proxy_error_log: Output = "/dev/stderr"
    """Where events go: a path, or off."""
    admin_audit_log: Output = "off"
    """Where a line goes for everything that is changed over the Admin API: a path, or off."""

    log_shipping: Shipped = None
    """A bucket that logs are shipped to, a mapping; in the environment as JSON."""
    slow_request_log: SlowRequests = "off"
    """Whether an event tells of each request that took the gateway too long: on (beyond the latency_budget), or beyond which time."""

    # --- who the client is
    trusted_ips: Networks = ()
    """Peers whose X-Forwarded-* and X-Kong-Request-Id are believed: networks, and unix: for unix sockets."""
    real_ip_header: str = Field("X-Real-IP", min_length=1)
    """The header in which trusted peers give the client's address, or proxy_protocol."""
    real_ip_recursive: Switch = False
    """Whether trusted addresses in that header are passed over for the first that is not."""

    # --- limits on clients
    client_max_body_size: Bytes = 1_048_576
    """Largest request body; 0 is no limit."""
    client_max_request_line: Bytes = Field(8192, ge=64)
    """Longest request line."""
    client_max_header_size: Bytes = Field(32_768, ge=256)
    """Largest request head, with the request line."""
    client_max_header_count: int = Field(100, ge=1)
    """Most header lines in a request."""
    client_header_timeout: Seconds = 60.0
    """Longest time to send a request head."""
    client_body_timeout: Seconds = 60.0
    """Longest time between two pieces of a request body."""
    send_timeout: Seconds = 60.0
    """Longest time that a client may take nothing of an answer."""
    keepalive_timeout: Seconds = 75.0
    """Longest time that a connection may idle between requests; 0 closes after each."""
    keepalive_requests: int = Field(1000, ge=1)
    """Most requests on one connection."""
    worker_connections: int = Field(512, ge=1)
    """Most client connections at once."""
    overload_control: Switch = False
    """Whether requests are refused in good time when more come than the gateway, or a backend, can do."""
    overload_queue_target: Seconds = Field(0.02, gt=0)
    """How long requests may stand in line before the gateway reads them."""
    min_concurrent_requests: int = Field(20, ge=1)
    """Requests that may wait for a service however slow it is; overload control goes no lower."""
    max_concurrent_requests: int = Field(1000, ge=1)
    """Most requests that may wait for a service; overload control goes no higher."""
    lingering_timeout: Seconds = 5.0
    """How long a refused body is read away, so that the client sees the answer."""

    # --- connections to backends
    upstream_keepalive_pool_size: int = Field(512, ge=0)
    """Most idle connections kept per target; 0 keeps none."""
    upstream_keepalive_max_requests: int = Field(10_000, ge=0)
    """Most requests on one such connection; 0 is no limit."""
    upstream_keepalive_idle_timeout: Seconds = 60.0
    """How long one may idle; 0 is no limit."""
    tls_verify: Switch = False
    """Whether certificates of https backends are verified where the service does not say."""
    trusted_certificate: str = Field("system", min_length=1)
    """What they are verified against: a file in PEM, or system."""

    # --- headers
    headers: HeaderNames = (*TOKENS["server_tokens"], *TOKENS["latency_tokens"], "x-kong-request-id")
    """What the gateway adds to answers: server_tokens, latency_tokens, header names, or off."""
    headers_upstream: HeaderNames = ("x-kong-request-id",)
    """What it adds to requests: X-Kong-Request-Id, or off."""
    allow_debug_header: Switch = False
    """Whether Kong-Debug in a request brings the names of its route and service."""
    server_timing: Told = "off"
    """Who is told in Server-Timing where the time went: nobody (off), clients in trusted_ips (trusted), everybody (on)."""
    error_default_type: MediaType = "text/plain"
    """Form of error bodies for clients that ask for none."""

    # --- TLS towards clients
    ssl_cert: Words = ()
    """Certificate chains of ssl listeners: paths or PEM; none makes a self-signed one."""
    ssl_cert_key: Words = Field((), repr=False)
    """Their keys, in the same order."""
    ssl_protocols: Protocols = ("TLSv1.2", "TLSv1.3")
    """Versions of TLS offered."""
    ssl_cipher_suite: CipherSuite = "intermediate"
    """Mozilla's suites: modern (TLS 1.3 alone), intermediate, old (for TLS 1.2 without GCM), or custom."""
    ssl_ciphers: str = ""
    """With custom: the suites of TLS 1.2, as OpenSSL writes them."""
    ssl_prefer_server_ciphers: Switch = True
    """Whether the gateway's order of suites counts, and not the client's."""
    ssl_session_tickets: Switch = True
    """Whether clients may take a session up again without a whole handshake."""
    ssl_watch_interval: Seconds = 30.0
    """How often files of certificates and keys are looked at for changes; 0 is never."""

    # --- names
    dns_resolver: Words = ()
    """Name servers, with ports allowed; none takes those of resolv.conf."""
    dns_hostsfile: str = Field("/etc/hosts", min_length=1)
    """File of names that need no server."""
    dns_order: RecordTypes = ("LAST", "SRV", "A", "CNAME")
    """Record types in the order in which they are asked for; LAST is what worked before."""
    dns_valid_ttl: Seconds | None = None
    """How long an answer is used, in place of its own TTL."""
    dns_stale_ttl: Seconds = 3600.0
    """How long an old answer is used while servers fail."""
    dns_not_found_ttl: Seconds = 30.0
    """How long it is remembered that a name does not exist."""
    dns_error_ttl: Seconds = 1.0
    """How long a server's failure is remembered."""

    # --- applications of your own
    apps: Apps = Field(default_factory=dict)
    """aiohttp applications to mount, as ``name: package.module:attribute``; services call them as ``memory://name``."""

    # --- meaning
    router_flavor: Flavor = "traditional_compatible"
    """How routes are ranked."""
    unknown_plugins: Literal["error", "warn"] = "error"
    """Whether a plugin that proxyd does not have refuses the file, or is left out with a warning."""
    expand_env: Switch = False
    """Whether ${NAME} and ${NAME:-default} in the file are taken from the environment."""

    # --- life
    latency_budget: Budget = (0.02, 0.04)
    """The gateway's own time per request that is aimed at, and the one not to exceed."""
    shared_memory: str = ""
    """File in which processes of one machine share counters (``/dev/shm/proxyd``); empty: each has its own."""
    shutdown_timeout: Seconds = 10.0
    """How long running requests have before they are cut, after SIGTERM or SIGINT."""
    drain_timeout: Seconds = 60.0
    """How long they have after SIGQUIT; 0 is no limit."""
    drain_grace: Seconds = 1.0
    """How long idle connections stay open at the end, for a request that is on its way."""
    drain_delay: Seconds = 0.0
    """How long connections are accepted after /status/ready has begun to say 503, for load balancers to notice."""
    workers: Workers = 0
    """How many processes serve under a master: a number, auto for one per core, or off for one process and no master."""
    worker_max_memory: Bytes = 0
    """Resident memory of a worker at which it is replaced; 0 is no limit."""
    watch: Switch = False
    """Whether the file is looked at every second, and loaded anew when it has changed."""
    pid_file: str = ""
    """File with the number of the process, locked while it runs; a relative path is in $RUNTIME_DIRECTORY, where there is one."""
    health: Indicators = ()
    """Indicators of /status/health, a list of mappings; in the environment as JSON."""
    demo: Switch = False
    """Whether the embedded demo backend runs beside the gateway."""
