"""The values that settings take: each reads what the environment has as a text, and the ``proxyd:`` block as YAML."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from proxyd.crypto.api_keys import ENVIRONMENT, Pepper
from proxyd.model import units
from proxyd.model.database import DatabaseUrl, parse_database
from proxyd.model.listen import Listen, parse_listen
from proxyd.model.peppers import parse_peppers
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
MAX_WORKERS: Final = 256
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
