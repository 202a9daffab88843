"""custom_fields_by_lua without Lua: the one-line forms that files hold, and a refusal of everything else.

``return 'text'``, a number, a boolean, ``nil`` (which takes the field out), or one of the questions below, each
with ``or 'text'`` behind it where wanted.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import unquote_plus

from pydantic import AfterValidator

from proxyd.telemetry.redact import REDACTED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers
    from proxyd.telemetry.redact import Redactor

    Question = Callable[[Exchange, Redactor], Any]

_RETURN: Final = re.compile(r"\s*return\s+([^\n]+?)\s*;?\s*")
_OR: Final = re.compile(r"(.+?)\s+or\s+(\S+|'[^'\\]*'|\"[^\"\\]*\")")
_TEXT: Final = re.compile(r"'([^'\\]*)'|\"([^\"\\]*)\"")
_DIGITS: Final = 15  # of a whole number; Lua's are floats, and JSON's writer takes 64 bits
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_WORDS: Final = {"nil": None, "true": True, "false": False}
_ASK: Final = re.compile(
    r"(?P<call>[a-z_.]+)\((?:'(?P<one>[^'\\]+)'|\"(?P<two>[^\"\\]+)\")?\)"
    r"(?:\[(?:'(?P<three>[^'\\]+)'|\"(?P<four>[^\"\\]+)\")\]|\.(?P<field>[a-z_]+))?"
)
_AND_CONSUMER: Final = "kong.client.get_consumer() and "


@dataclass(frozen=True, slots=True)
class LuaField:
    """One field: its path in the record, and how its value is found."""

    path: tuple[str, ...]
    value: Question

    def put(self, record: dict[str, Any], exchange: Exchange, redactor: Redactor) -> None:
        """Set the field in a record, or take it out; a path that leads through something else is left alone."""
        value = self.value(exchange, redactor)
        below: Any = record
        for step in self.path[:-1]:
            below = below.get(step) if value is None else below.setdefault(step, {})
            if not isinstance(below, dict):
                return
        if value is None:
            below.pop(self.path[-1], None)
        else:
            below[self.path[-1]] = value


def compile_fields(sources: Mapping[str, str] | None) -> tuple[LuaField, ...]:
    """Return the fields of a plugin's custom_fields_by_lua; raises ValueError."""
    return tuple(LuaField(tuple(name.split(".")), parse(text)) for name, text in (sources or {}).items())


def parse(text: str) -> Question:
    """Return what finds the value; raises ValueError for Lua that would have to be run."""
    matched = _RETURN.fullmatch(text)
    if matched is None:
        raise _refusal()
    expression = matched[1].removeprefix(_AND_CONSUMER)
    if (constant := _constant(expression)) is not _NO_CONSTANT:
        return lambda _exchange, _redactor: constant
    alternative = _OR.fullmatch(expression)
    if alternative is None:
        return _question(expression)
    question, other = _question(alternative[1]), _constant(alternative[2])
    if other is _NO_CONSTANT:
        raise _refusal()

    def either(exchange: Exchange, redactor: Redactor) -> Any:
        found = question(exchange, redactor)
        return other if found is None else found

    return either


def _check(text: str) -> str:
    parse(text)
    return text


LuaLine = Annotated[str, AfterValidator(_check)]
"""A value of custom_fields_by_lua."""

_NO_CONSTANT: Final = object()


def _refusal() -> ValueError:
    return ValueError(
        "Lua is not run: only a line such as return 'text', return nil or"
        " return kong.request.get_header('name') is understood",
        "docs/logging.md lists the forms",
    )


def _constant(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if (matched := _TEXT.fullmatch(text)) is not None:
        return matched[1] if matched[1] is not None else matched[2]
    if (matched := _NUMBER.fullmatch(text)) is not None:
        return float(text) if matched[1] or len(text) > _DIGITS else int(text)
    return _NO_CONSTANT


def _question(text: str) -> Question:
    if text in PLAIN:
        return PLAIN[text]
    if text.startswith("ngx.var.http_"):
        return _request_header(text.removeprefix("ngx.var.http_").replace("_", "-"))
    matched = _ASK.fullmatch(text)
    if matched is not None:
        name = matched["one"] or matched["two"]
        key = matched["three"] or matched["four"] or matched["field"]
        if name and not key and matched["call"] in NAMED:
            return NAMED[matched["call"]](name)
        if key and not name and matched["call"] in KEYED:
            return KEYED[matched["call"]](key)
    raise _refusal()


# --- what can be asked ---------------------------------------------------------------------------------------


def _header(headers: Headers | None, name: str, redactor: Redactor) -> str | None:
    key = name.lower().encode()
    value = headers.get(key) if headers is not None else None
    if value is None:
        return None
    return REDACTED if redactor.header(key)[1] else value.decode("utf-8", "backslashreplace")


def _request_header(name: str) -> Question:
    if name.lower() == "host":
        return lambda exchange, _redactor: exchange.request.host or None
    return lambda exchange, redactor: _header(exchange.request.headers, name, redactor)


def _response_header(name: str) -> Question:
    def find(exchange: Exchange, redactor: Redactor) -> str | None:
        return _header(exchange.answer_headers, name, redactor)

    return find


def _argument(name: str) -> Question:
    def find(exchange: Exchange, redactor: Redactor) -> str | bool | None:
        for argument in exchange.request.query[1:].split("&"):
            key, mark, value = argument.partition("=")
            if unquote_plus(key) == name:
                if not mark:
                    return True
                return REDACTED if redactor.is_secret(name) else unquote_plus(value)
        return None

    return find


def _entity(kind: str) -> Callable[[str], Question]:
    def of(field: str) -> Question:
        if field not in {"id", "name", "username", "custom_id", "host"}:
            raise _refusal()
        return lambda exchange, _redactor: getattr(getattr(exchange, kind), field, None)

    return of


def _target(exchange: Exchange, redactor: Redactor) -> str:
    query = exchange.request.query
    return exchange.request.path + (f"?{redactor.query(query[1:])}" if query else "")


PLAIN: Final[dict[str, Question]] = {
    "kong.request.get_method()": lambda exchange, _: exchange.request.method,
    "kong.request.get_path()": lambda exchange, _: exchange.request.path,
    "kong.request.get_path_with_query()": _target,
    "kong.request.get_host()": lambda exchange, _: exchange.request.host.partition(":")[0],
    "kong.request.get_scheme()": lambda exchange, _: exchange.scheme,
    "kong.client.get_ip()": lambda exchange, _: exchange.client.peer,
    "kong.client.get_forwarded_ip()": lambda exchange, _: exchange.client_ip,
    "kong.response.get_status()": lambda exchange, _: exchange.status,
    "kong.service.response.get_status()": lambda exchange, _: exchange.response and exchange.response.status,
    "kong.node.get_hostname()": lambda _exchange, _redactor: socket.gethostname(),
    "ngx.req.get_method()": lambda exchange, _: exchange.request.method,
    "ngx.status": lambda exchange, _: exchange.status,
    "ngx.var.remote_addr": lambda exchange, _: exchange.client_ip,
    "ngx.var.request_id": lambda exchange, _: exchange.request_id,
    "ngx.var.request_method": lambda exchange, _: exchange.request.method,
    "ngx.var.request_uri": _target,
    "ngx.var.scheme": lambda exchange, _: exchange.scheme,
    "ngx.var.host": lambda exchange, _: exchange.request.host.partition(":")[0],
    "ngx.var.status": lambda exchange, _: exchange.status,
}
NAMED: Final[dict[str, Callable[[str], Question]]] = {
    "kong.request.get_header": _request_header,
    "kong.request.get_query_arg": _argument,
    "kong.response.get_header": _response_header,
    "kong.vault.get": lambda value: lambda _exchange, _redactor: value,  # put in when the file was read
}
KEYED: Final[dict[str, Callable[[str], Question]]] = {
    "kong.request.get_headers": _request_header,
    "ngx.req.get_headers": _request_header,
    "kong.response.get_headers": _response_header,
    "kong.client.get_consumer": _entity("consumer"),
    "kong.router.get_route": _entity("route"),
    "kong.router.get_service": _entity("service"),
}
