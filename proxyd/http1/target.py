"""The request target and the authority: one unambiguous form of each, or ProtocolError.

Runs once per request, on the head, before anything is matched. What comes out is what is routed and what is
forwarded: two spellings of one path have one result, and a spelling that the gateway and a backend could read
differently is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from itertools import product
from typing import Final
from urllib.parse import quote

from proxyd.errors import ProtocolError

MAX_HOST: Final = 255  # characters of a host name; DNS has no longer ones (RFC 1035 section 2.3.4)
HOST_CACHE: Final = 1024  # hosts remembered; a gateway serves few, and strangers must not fill the memory

# RFC 3986 section 2.3, and the other characters that section 3.3 lets stand in a segment.
_UNRESERVED: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_SEGMENT: Final = _UNRESERVED + "!$&'()*+,;=:@"

# A path in its one form: no empty segment but the last, no dot segment, escapes in upper case and only of what
# must be escaped. Escapes that some backends read as a separator (/ \ ;), or that could begin a character of too
# many bytes, are left to the careful way.
_NORMAL_PATH: Final = re.compile(
    r"(?:/(?!\.\.?(?:[/;]|\Z))"
    r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]++"
    r"|%(?:0[1-9A-F]|1[0-9A-F]|2[0-9ABC]|3[ACDEF]|40|5[BDE]|60|7[BCDF]|[89ABD][0-9A-F]|C[2-9A-F]|[EF][1-9A-F]))++)"
    r"++/?|/"
)
# What most targets are: a path without escapes and without a segment that begins with a dot, and a query.
# Browsers leave much unescaped in queries; only what would end the target or the line is refused.
_PLAIN_TARGET: Final = re.compile(
    r"(/(?:[A-Za-z0-9\-_~!$&'()*+,;=:@][A-Za-z0-9\-._~!$&'()*+,;=:@]*+/?)*+)((?:\?[\x21\x22\x24-\x7e]*+)?)"
)
_QUERY: Final = re.compile(r"[\x21\x22\x24-\x7e]*+")
_FORBIDDEN_IN_PATH: Final = re.compile(r"[^\x21-\x7e]|[#?\\]")
_ESCAPE: Final = re.compile(r"%(..?)?")
# A dot segment behind an encoded separator or before a parameter: some backends would climb by it.
_HIDDEN_DOTS: Final = re.compile(r"(?:/|%2F|%5C)\.\.?(?:/|%2F|%5C|;|%3B|\Z)")
# RFC 3629 section 3: characters written in more bytes than they need, which lax decoders take for . / and \.
_OVERLONG: Final = re.compile(r"%(?:C[01]%[89AB]|E0%[89]|F0%8)")
_ABSOLUTE: Final = re.compile(r"(?i:https?)://([^/?]++)([^?]*+)(\?.*+)?", re.DOTALL)
_HOST: Final = re.compile(
    r"(?:([A-Za-z0-9_~\-]++(?:\.[A-Za-z0-9_~\-]++)*+)\.?|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{0,5}))?"
)

# two hexadecimal digits, in any case -> what they become: a character, or the escape in upper case
_UNESCAPED: Final[dict[str, str]] = {}
for _digits in product("0123456789abcdefABCDEF", repeat=2):
    _code = int("".join(_digits), 16)
    if _code:
        _UNESCAPED["".join(_digits)] = chr(_code) if chr(_code) in _UNRESERVED else f"%{_code:02X}"

_ESCAPED_RAW: Final = str.maketrans({char: quote(char, safe="") for char in '"<>[]^`{|}'})
# what a backend may take an escape for: any character of a path, with the backslash read as a slash
_PLAIN: Final[dict[str, str]] = {f"%{ord(char):02X}": char for char in _SEGMENT + "/"} | {"%5C": "/"}


def normalise_path(path: str) -> str:
    """Return the one form of an absolute path (RFC 3986 sections 6.2.2 and 5.2.4); idempotent.

    Escapes of unreserved characters are decoded, all others kept, in upper case; dot segments, also escaped
    ones, are removed; repeated slashes are merged; printable characters that RFC 3986 does not let stand in a
    path are escaped. ``%2F`` stays and separates nothing.

    Raises ProtocolError for a path without a leading slash, a malformed escape, ``%00``, a backslash, a
    control, a space, a non-ASCII character, ``#`` or ``?``, for a dot segment that hides behind ``%2F``, ``%5C``
    or ``;``, and for overlong UTF-8.
    """
    if _NORMAL_PATH.fullmatch(path) is not None:
        return path
    if path[:1] != "/":
        raise ProtocolError("path does not start with a slash")
    if _FORBIDDEN_IN_PATH.search(path) is not None:
        raise ProtocolError("forbidden character in path")
    if "%" in path:
        path = _ESCAPE.sub(_unescape, path)
    path = _without_dots(path.translate(_ESCAPED_RAW))
    if _HIDDEN_DOTS.search(path) is not None:
        raise ProtocolError("hidden dot segment in path")
    if _OVERLONG.search(path) is not None:
        raise ProtocolError("overlong UTF-8 in path")
    return path


def plain_form(path: str) -> str:
    """Return what a backend that decodes everything would make of a normalised path.

    Only for comparing: who asks for ``/a%2Fb`` must not get what ``/a/b`` would not get.
    """
    return _without_dots(_ESCAPE.sub(lambda match: _PLAIN.get(match[0], match[0]), path))


def parse_target(method: str, target: bytes) -> tuple[str, str, bytes | None]:
    """Take a request target apart (RFC 9112 section 3.2): ``(path, query, authority)``.

    ``path`` is normalised, ``query`` starts with its ``?`` or is empty, ``authority`` is None unless the
    target was in absolute form, where it takes the place of Host. The path is ``*`` for ``OPTIONS *``.
    Raises ProtocolError, with status 501 for CONNECT and TRACE.
    """
    try:
        text = target.decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolError("non-ASCII request target") from None
    if method in {"CONNECT", "TRACE"}:
        # RFC 9110 section 15.6.2: nothing here can be tunnelled to, whatever the target. Section 9.3.8: TRACE
        # would send back to the client what the gateway tells the backend alone.
        raise ProtocolError(method, 501)
    match = _PLAIN_TARGET.fullmatch(text)
    if match is not None:
        path, query = match.groups()
        return path, query, None
    path, mark, query = text.partition("?")
    if path[:1] == "/":
        return normalise_path(path), _checked_query(mark + query), None
    return _unusual_target(method, text)


@lru_cache(HOST_CACHE)
def parse_host(value: bytes) -> str:
    """Return a Host value (RFC 9110 section 7.2) in lower case, with its port if it names one.

    A name's trailing dot is dropped, an IPv6 address is compressed, leading zeros of the port are removed.
    Names are letters, digits, ``-``, ``_``, ``~`` and dots: the other characters and escapes that RFC 3986
    section 3.2.2 allows are in no name that resolves. Raises ProtocolError.
    """
    text = value.decode("latin-1")
    match = _HOST.fullmatch(text)
    if match is None or len(text) > MAX_HOST:
        raise ProtocolError("malformed Host")
    name, address, port = match.groups()
    if address:
        try:
            host = f"[{IPv6Address(address).compressed}]"
        except AddressValueError:
            raise ProtocolError("malformed IPv6 address in Host") from None
    else:
        host = name.lower()
    if not port:
        return host
    number = int(port)
    if number > 65_535:  # noqa: PLR2004 - the largest port
        raise ProtocolError("port out of range in Host")
    return f"{host}:{number}"


def _unusual_target(method: str, text: str) -> tuple[str, str, bytes | None]:
    if text == "*":
        if method != "OPTIONS":
            raise ProtocolError("asterisk target without OPTIONS")
        return "*", "", None
    match = _ABSOLUTE.fullmatch(text)
    if match is None:
        raise ProtocolError("malformed request target")
    authority, path, query = match.groups()
    query = _checked_query(query or "")
    if not path:
        # RFC 9112 section 3.2.4: an OPTIONS request without path and query is about the whole server.
        path = "*" if method == "OPTIONS" and not query else "/"
    return (path if path == "*" else normalise_path(path)), query, authority.encode()


def _checked_query(query: str) -> str:
    if _QUERY.fullmatch(query) is None:
        raise ProtocolError("forbidden character in query")
    return query


def _unescape(match: re.Match[str]) -> str:
    plain = _UNESCAPED.get(match[1])
    if plain is None:
        raise ProtocolError("malformed escape in path")
    return plain


def _without_dots(path: str) -> str:
    # RFC 3986 section 5.2.4, on segments, with empty ones merged on the way.
    kept: list[str] = []
    last = ""
    for last in path.split("/"):
        if last == "..":
            del kept[-1:]
        elif last not in {"", "."}:
            kept.append(last)
    if kept and last in {"", ".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)
