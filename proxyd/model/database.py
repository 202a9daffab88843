"""Where the database is, as a URL says it: the setting ``database``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from proxyd.model.grammar import split_port
from proxyd.model.suggest import nearest

PORT: Final = 5432
SSL_MODES: Final = ("auto", "disable", "prefer", "require", "verify-ca", "verify-full")
OPTIONS: Final = frozenset(
    {
        *("host", "port", "user", "password", "dbname"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "application_name"),
    }
)
_EXAMPLE: Final = "off, sqlite:///proxyd.db, or postgresql://proxyd:PASSWORD@db.internal/proxyd"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A file of SQLite, or a server of PostgreSQL; what is empty there is the environment's, or a default."""

    kind: Literal["sqlite", "postgresql"]
    path: str = ""
    hosts: tuple[tuple[str, int | None], ...] = ()
    user: str = ""
    password: str = field(default="", repr=False)
    name: str = ""
    options: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name it without its password, and without what else the URL says."""
        if self.kind == "sqlite":
            return f"sqlite:///{self.path}"
        hosts = ",".join(f"{host}:{port}" if port else host for host, port in self.hosts)
        return f"postgresql://{f'{self.user}@' if self.user else ''}{hosts}/{self.name}"


def parse_database(value: object) -> DatabaseUrl | None:
    """Return what a URL names, or None for ``off``; raises ValueError, which never holds a password."""
    if value is None or value is False or value == "off":
        return None
    if not isinstance(value, str):
        raise ValueError("must be off, or the URL of a database", _EXAMPLE)  # noqa: TRY004 - for pydantic
    scheme, separator, rest = value.partition("://")
    if scheme == "sqlite" and separator:
        return _sqlite(rest)
    if scheme in ("postgresql", "postgres") and separator:
        return _postgresql(value)
    if scheme.partition("+")[0] in ("sqlite", "postgresql", "postgres"):
        raise ValueError("the URL names no driver", _EXAMPLE)
    raise ValueError("must be off, or the URL of a database", _EXAMPLE)


def _sqlite(rest: str) -> DatabaseUrl:
    path = unquote(rest.removeprefix("/"))
    if not rest.startswith("/") or not path:
        raise ValueError(
            "names no file", "sqlite:///proxyd.db is relative, sqlite:////var/lib/proxyd.db is not"
        )
    if path == ":memory:":
        raise ValueError("must be a file: nothing else could see a database in memory", "sqlite:///proxyd.db")
    if "?" in rest:
        raise ValueError("takes no parameters", "sqlite:///proxyd.db")
    return DatabaseUrl("sqlite", path)


def _postgresql(value: str) -> DatabaseUrl:
    try:
        parts = urlsplit(value)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("is no URL: what is special in a password is percent-encoded", _EXAMPLE) from None
    options = dict(query)
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"has an unknown parameter '{name}'", nearest(name, OPTIONS))
    if options.get("sslmode", "auto") not in SSL_MODES:
        raise ValueError(f"sslmode must be one of {', '.join(SSL_MODES)}")
    login, _, place = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    hosts = [_host(word) for word in place.split(",") if word]
    if given := options.pop("host", ""):
        ports = options.pop("port", "").split(",")
        if len(ports) > 1 and len(ports) != given.count(",") + 1:
            raise ValueError("must have one port, or as many as hosts", _EXAMPLE)
        hosts = [(host, _port(ports[place % len(ports)])) for place, host in enumerate(given.split(","))]
    elif port := options.pop("port", ""):
        hosts = [(host, before or _port(port)) for host, before in hosts or [("", None)]]
    return DatabaseUrl(
        "postgresql",
        hosts=tuple(hosts),
        user=options.pop("user", "") or unquote(user),
        password=options.pop("password", "") or unquote(password),
        name=options.pop("dbname", "") or unquote(parts.path.removeprefix("/")),
        options=options,
    )


def _host(word: str) -> tuple[str, int | None]:
    try:
        host, port = split_port(word)
    except ValueError:
        raise ValueError("has a port that is no number", _EXAMPLE) from None
    return unquote(host).strip("[]"), port


def _port(text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):  # noqa: PLR2004 - 16 bits
        raise ValueError("has a port that is no number", _EXAMPLE)
    return int(text) if text else None


def is_local(host: str) -> bool:
    """Tell whether nothing leaves the machine on the way to a host: the directory of a socket, or a loopback address."""
    if host.startswith(("/", "@")) or host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
