"""The words that entities are made of: Kong's rules for names, hosts, paths, methods, headers and tags.

Each is a ``str`` with a check, so that a problem is reported at the very item, and with a pattern for editors.
Sources: kong/db/schema/typedefs.lua and kong/db/schema/entities/*.lua of Kong 3.9.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final
from uuid import UUID

import re2
from pydantic import AfterValidator, Field, WithJsonSchema

from proxyd.errors import ProtocolError
from proxyd.http1.target import normalise_path

_NAME: Final = re.compile(r"[\w.\-~]+")
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?")
_FIELD_NAME: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # RFC 9110 section 5.6.2
_HEADER_NAME: Final = re.compile(_FIELD_NAME)
_METHOD: Final = re.compile(r"[A-Z][A-Z_-]*")
_RAW_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~/:@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9._~/%-]*")  # what formats 1.1 and 2.1 take for a prefix
_SCOPE: Final = re.compile(r"[!#-+\--\[\]-~]{1,100}")
_DEFAULT_TARGET_PORT: Final = 8000  # kong/db/dao/targets.lua
_MAX_PORT: Final = 65_535
_MAX_HOST: Final = 253

_REGEX_OPTIONS: Final = re2.Options()
_REGEX_OPTIONS.log_errors = False


def check_uuid(text: str) -> str:
    """Accept a UUID, in lower case from here on."""
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("must be a UUID", "leave it out to have one derived from the name") from None


def check_name(text: str) -> str:
    """Accept letters, digits and ``. - _ ~``, as Kong does for names of services and routes."""
    if not _NAME.fullmatch(text):
        raise ValueError("must be made of letters, digits and . - _ ~ only")
    return text


def check_tag(text: str) -> str:
    """Accept any text but ``,`` and ``/``, which separate tags in queries."""
    if not text or "," in text or "/" in text or not text.isprintable():
        raise ValueError("must be printable text without , and /")
    return text


def split_port(text: str) -> tuple[str, int | None]:
    """Split ``host:port``, ``[v6]:port``, or a bare host or address.

    Raises:
        ValueError: The port is no number between 0 and 65535.
    """
    if text.count(":") > 1 and not text.startswith("["):
        return text, None
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text, None
    if not (port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise ValueError("the port must be a number between 0 and 65535")
    return host, int(port)


def is_address(text: str) -> bool:
    """Tell whether ``text`` is an IPv4 or IPv6 address, the latter with or without brackets."""
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]") if text.startswith("[") else text)
    except ValueError:
        return False
    return True


def is_host_name(text: str) -> bool:
    """Tell whether ``text`` is a DNS name; underscores are allowed, as container names have them."""
    return len(text) <= _MAX_HOST and _HOST_NAME.fullmatch(text) is not None


def check_host(text: str) -> str:
    """Accept a host name or an address without a port."""
    if is_address(text):
        return text.strip("[]").lower()
    if "://" in text:
        raise ValueError("must be a host name or an IP address", "a URL belongs in 'url'")
    if ":" in text and is_host_name(text.rpartition(":")[0]):
        raise ValueError("must not have a port", "the port is a field of its own")
    if not is_host_name(text):
        raise ValueError("must be a host name or an IP address")
    return text.lower()


def check_host_name(text: str) -> str:
    """Accept a host name that is no address and has no port."""
    if is_address(text):
        raise ValueError("must be a name, not an IP address")
    return check_host(text)


def check_sni(text: str) -> str:
    """Accept a server name, with ``*.`` before it or ``.*`` behind it allowed."""
    if text.startswith("*."):
        return "*." + check_host_name(text[2:])
    if text.endswith(".*"):
        return check_host_name(text[:-2]) + ".*"
    return check_host_name(text)


def check_host_pattern(text: str) -> str:
    """Accept what a route's ``hosts`` hold: a name or an address, one wildcard at one end, a port."""
    host, port = split_port(text)
    if "*" in host:
        if host.count("*") > 1 or not (host.startswith("*.") or host.endswith(".*")):
            raise ValueError(
                "a wildcard must be the first or the last label", "as in *.example.com or example.*"
            )
        host = check_sni(host)
    elif is_address(host):
        host = host.lower()
    else:
        host = check_host(host)
    return host if port is None else f"{host}:{port}"


def check_target(text: str) -> str:
    """Accept ``host:port`` and complete a missing port with Kong's 8000."""
    host, port = split_port(text)
    name = check_host(host)
    return (
        f"[{name}]:{port or _DEFAULT_TARGET_PORT}"
        if ":" in name
        else f"{name}:{port or _DEFAULT_TARGET_PORT}"
    )


def check_regex(pattern: str) -> str:
    """Accept what RE2 compiles."""
    try:
        re2.compile(pattern, _REGEX_OPTIONS)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
        hint = "look-around and back-references do not exist in linear time" if "(?" in pattern else ""
        raise ValueError(f"not a valid regular expression: {reason.partition(':')[0]}", hint) from None
    return pattern


def check_prefix(text: str) -> str:
    """Accept the start of a path, written the way that requests are matched: normalised."""
    if not text.startswith("/"):
        raise ValueError("must start with '/'")
    if "//" in text:
        raise ValueError("must not have empty segments (//)")
    if not _RAW_PATH.fullmatch(text):
        raise ValueError("holds a character that a path cannot have", "percent-encode it")
    return text


def check_route_path(text: str) -> str:
    """Accept a route's path: a normalised prefix, or ``~`` and a regular expression that starts with ``/``."""
    if text.startswith("~"):
        if not text.startswith(("~/", "~^/", "~(")):
            raise ValueError("a regular expression must start with '~/'")
        return "~" + check_regex(text[1:])
    if not text.startswith("/"):
        raise ValueError("must start with '/' or '~/'")
    if not _RAW_PATH.fullmatch(text):
        raise ValueError("holds a character that a path cannot have", "a regular expression starts with '~/'")
    check_prefix(text)
    try:
        normal = normalise_path(text)
    except ProtocolError as error:
        raise ValueError(f"not a path that a request can have: {error.reason}") from None
    if normal != text:
        raise ValueError("is not normalised and would never match", f"did you mean '{normal}'?")
    return text


def migrate_path(text: str) -> str:
    """Return what a path of format 1.1 or 2.1 is in 3.0: a regular expression if it looks like one."""
    if text.startswith("~") or not text.startswith("/"):
        return text
    if not _PLAIN_PATH.fullmatch(text):
        return "~" + text
    try:
        return normalise_path(text)
    except ProtocolError:
        return text


def check_method(text: str) -> str:
    """Accept an HTTP method in upper case."""
    if not _METHOD.fullmatch(text):
        hint = f"did you mean '{text.upper()}'?" if _METHOD.fullmatch(text.upper()) else ""
        raise ValueError("must be an HTTP method in upper case", hint)
    return text


def check_header_name(text: str) -> str:
    """Accept a field name (RFC 9110 section 5.1)."""
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError("must be a header name: letters, digits and -")
    return text


def check_route_header(text: str) -> str:
    """Accept a field name other than Host, which has a field of its own."""
    if text.lower() == "host":
        raise ValueError("a route matches the Host header with 'hosts'")
    return check_header_name(text)


def check_route_header_value(text: str) -> str:
    """Accept a value, or ``~*`` and a regular expression."""
    if text.startswith("~*"):
        check_regex(text[2:])
    return text


def check_scope(text: str) -> str:
    """Accept the name of a scope (RFC 6749 section 3.3) without commas, so that lists of them are clear."""
    if not _SCOPE.fullmatch(text):
        raise ValueError("must be printable ASCII without spaces, commas, quotes and \\", "orders:read")
    return text


def _pattern(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


Name = Annotated[str, AfterValidator(check_name), _pattern(r"^[^\s/?#\[\]@!$&'()*+,;=:%]+$")]
Tag = Annotated[str, AfterValidator(check_tag), _pattern("^[^,/]+$")]
Host = Annotated[str, AfterValidator(check_host), _pattern(r"^[^\s/]+$")]
HostName = Annotated[str, AfterValidator(check_host_name), _pattern(r"^[^\s/:]+$")]
HostPattern = Annotated[str, AfterValidator(check_host_pattern), _pattern(r"^[^\s/]+$")]
ServerName = Annotated[str, AfterValidator(check_sni), _pattern(r"^[^\s/:]+$")]
TargetAddress = Annotated[str, AfterValidator(check_target), _pattern(r"^[^\s/]+$")]
PathPrefix = Annotated[str, AfterValidator(check_prefix), _pattern("^/")]
RoutePath = Annotated[str, AfterValidator(check_route_path), _pattern("^(/|~)")]
Method = Annotated[str, AfterValidator(check_method), _pattern("^[A-Z][A-Z_-]*$")]
HeaderName = Annotated[str, AfterValidator(check_header_name), _pattern(f"^{_FIELD_NAME}$")]
RouteHeaderName = Annotated[str, AfterValidator(check_route_header), _pattern(f"^{_FIELD_NAME}$")]
RouteHeaderValue = Annotated[
    str, AfterValidator(check_route_header_value), WithJsonSchema({"type": "string"})
]
Scope = Annotated[str, AfterValidator(check_scope), _pattern(r"^[!#-+\--\[\]-~]{1,100}$")]
Text = Annotated[str, Field(min_length=1)]
Status = Annotated[int, Field(ge=100, le=999)]
