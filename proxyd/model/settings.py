"""What Kong keeps in kong.conf: the daemon's own settings, under Kong's names where Kong has one.

Each field's value is given as text (environment) or as YAML (the ``proxyd:`` block); ``configure`` reads both.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from proxyd.model.base import Bytes, Entity, Seconds, Switch
from proxyd.model.indicators import Indicators
from proxyd.model.listen import Listen
from proxyd.model.settings_values import (
    TOKENS,
    Apps,
    Budget,
    CipherSuite,
    Database,
    Environment,
    Flavor,
    HeaderNames,
    Listens,
    LogLevel,
    MediaType,
    Networks,
    Origins,
    Output,
    Peppers,
    Protocols,
    RecordTypes,
    SlowRequests,
    SslMode,
    Tokens,
    Told,
    Words,
    Workers,
)
from proxyd.model.shipping import Shipped

PROXY_PROTOCOL: Final = "proxy_protocol"  # of real_ip_header, which names no header then
OTHER_NAMES: Final = {  # of settings, as kong.conf has them
    "nginx_worker_processes": "workers",
    "admin_gui_origin": "admin_gui_url",
}


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
