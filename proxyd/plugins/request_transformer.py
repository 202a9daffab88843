"""request-transformer: headers, query, body, method and path, changed on their way to the upstream."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from proxyd import bodies, plugin
from proxyd.bodies import FORM, JSON
from proxyd.bodies.form import Arguments
from proxyd.bodies.members import json_string
from proxyd.errors import ProtocolError, RenderError, UnsendableError
from proxyd.exchange import Reply
from proxyd.http1.target import parse_host
from proxyd.transform.changes import Changes, HeaderChanges
from proxyd.transform.rules import Named, NamedHeaders, RenamedHeaders, Valued, ValuedHeaders, split
from proxyd.transform.template import Scope, Template
from proxyd.transform.uri import ReplacementPath, check_path

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxyd.bodies.fields import Fields
    from proxyd.exchange import Exchange

_BODILESS_METHODS: Final = frozenset({"GET", "HEAD", "TRACE"})
# Written by the gateway behind every plugin, as by Kong; and Host, which is no header here.
_UNTOUCHED: Final = frozenset(
    {
        b"host",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-path",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-kong-request-id",
        b"x-real-ip",
    }
)


class Removed(plugin.Config):
    """What is taken out."""

    headers: NamedHeaders = ()
    """Names of headers."""
    querystring: Named = ()
    """Names of query arguments."""
    body: Named = ()
    """Names of the body's members or fields."""


class Renamed(plugin.Config):
    """What is given another name, where it is there, as ``old:new``."""

    headers: RenamedHeaders = ()
    """Headers."""
    querystring: Valued = ()
    """Query arguments."""
    body: Valued = ()
    """The body's members or fields."""


class Values(plugin.Config):
    """Values, as ``name:value``; a value may be a template."""

    headers: ValuedHeaders = Field((), repr=False)
    """Headers."""
    querystring: Valued = Field((), repr=False)
    """Query arguments."""
    body: Valued = Field((), repr=False)
    """The body's members or fields."""


class Replaced(Values):
    """Values of what is there already, as ``name:value``; a value may be a template."""

    uri: Annotated[str, AfterValidator(check_path)] | None = None
    """Path that the upstream is asked for, in place of the service's and the request's; may be a template."""


class Config(plugin.Config):
    """Settings of request-transformer (Kong's ``kong/plugins/request-transformer/schema.lua``)."""

    http_method: str | None = Field(None, pattern="^[A-Z]+$")
    """Method that the upstream is asked with; not on WebSocket handshakes."""
    remove: Removed = Removed()
    """What is taken out, first of all."""
    rename: Renamed = Renamed()
    """What is given another name."""
    replace: Replaced = Replaced()
    """Values of what is there; ``host`` among the headers is the upstream's Host."""
    add: Values = Values()
    """Values of what is not there yet."""
    append: Values = Values()
    """Further values, whether there is one already or not."""
    max_body_size: int = Field(1_048_576, ge=0)
    """Bytes of the largest body that is changed; a larger one is answered with 413. Not Kong's."""
    omit_empty: bool = False
    """Whether a header whose value comes to nothing is left out, where Kong sends it empty. Not Kong's."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.http_method == "CONNECT":
            raise ValueError("CONNECT cannot be sent", "what tunnels is not a request")
        for entry in self.replace.headers:
            name, value, _ = split(entry)
            if name.lower() == "host" and (host := Template(value).literal) is not None:
                try:
                    parse_host(host.strip())
                except ProtocolError:
                    raise ValueError("replace.headers: this is no host") from None
        return self


class RequestTransformer(plugin.Plugin[Config]):
    """Changes requests: first the path, then method, headers, body and query."""

    name = "request-transformer"
    priority = 801
    answers = (
        (400, "what a template makes of the request cannot stand in a header, a path or a form"),
        (413, "the body is to be changed, and is larger than max_body_size, or has more than 2000 fields"),
        (500, "a template fails, as one does that joins a missing header to a text"),
    )

    def prepare(self) -> None:
        """Compile what is to be changed."""
        config = self.config
        kinds = (config.remove, config.rename, config.replace, config.add, config.append)
        self._headers = HeaderChanges(
            *(kind.headers for kind in kinds), untouched=_UNTOUCHED, omit_empty=config.omit_empty
        )
        self._query = Changes(*(kind.querystring for kind in kinds))
        self._body = Changes(*(kind.body for kind in kinds))
        hosts = [split(entry) for entry in config.replace.headers if split(entry)[0].lower() == "host"]
        self._host = Template(hosts[-1][1].strip()) if hosts and hosts[-1][1] else None
        self._path = ReplacementPath(config.replace.uri) if config.replace.uri else None
        self._looks = not (
            (self._host is None or self._host.literal is not None)
            and (self._path is None or self._path.literal)
            and self._headers.literal
            and self._query.literal
            and self._body.literal
        )

    def access(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Change the request; only one whose body is changed waits, for that body."""
        try:
            scope = Scope(exchange) if self._looks else None
            if self._path is not None:
                self._path.apply(exchange, scope)
            self._set_method_and_host(exchange, scope)
            if self._headers:
                self._headers.strip_lookalikes(exchange.headers)
                self._headers.apply(exchange.headers, scope)
            media = self._media(exchange)
            if not media:
                self._change_query(exchange, scope)
                return None
            if exchange.buffered is None and exchange.request.framing:
                return self._with_body(exchange, scope, media)
            self._change_body(exchange, scope, media)
        except RenderError as error:
            return _refuse(exchange, error)
        return None

    async def _with_body(self, exchange: Exchange, scope: Scope | None, media: bytes) -> Reply | None:
        if exchange.body is not None:
            await exchange.body.read(self.config.max_body_size)
        try:
            self._change_body(exchange, scope, media)
        except RenderError as error:
            return _refuse(exchange, error)
        return None

    def _set_method_and_host(self, exchange: Exchange, scope: Scope | None) -> None:
        method = self.config.http_method
        if method is not None and not exchange.request.upgrade:
            exchange.replaced_method = method
        if self._host is not None:
            try:
                exchange.replaced_host = parse_host(self._host.render(scope).strip())
            except ProtocolError as error:
                raise UnsendableError(error.reason) from None

    # --- the body --------------------------------------------------------------------------------------------

    def _media(self, exchange: Exchange) -> bytes:
        """Return the media type of a body that is to be changed, or nothing where none is."""
        moves = self.config.http_method in _BODILESS_METHODS
        if not (self._body or moves) or exchange.request.upgrade:
            return b""
        media = bodies.media_type(exchange.headers.get(b"content-type") or b"")
        return media if (media in bodies.READERS if self._body else media == FORM) else b""

    def _change_body(self, exchange: Exchange, scope: Scope | None, media: bytes) -> None:
        body = exchange.buffered or b""
        moved = media == FORM and self.config.http_method in _BODILESS_METHODS
        if self._body:
            with suppress(ValueError, TypeError):  # what cannot be read has no fields: it goes on, as in Kong
                self._change(exchange, scope, media, body)
        self._change_query(exchange, scope, bodies.read(media, body) if moved else None)

    def _change(self, exchange: Exchange, scope: Scope | None, media: bytes, body: bytes) -> None:
        if media == JSON:
            target = bodies.read(media, body or b"{}")
            self._body.apply(target, scope, json_string)
        else:
            target = bodies.read(exchange.headers.get(b"content-type") or b"", body)
            self._body.apply(target, scope)
        if target.changed:
            exchange.buffered = target.encode()

    def _change_query(self, exchange: Exchange, scope: Scope | None, moved: Fields | None = None) -> None:
        if not self._query and moved is None:
            return
        arguments = Arguments(exchange.request.query[1:].encode())
        if moved is not None:
            arguments.extend(moved)
        self._query.apply(arguments, scope)
        if arguments.changed:
            query = arguments.encode().decode()
            exchange.request.query = f"?{query}" if query else ""


def _refuse(exchange: Exchange, error: RenderError) -> Reply:
    exchange.refusal = f"request-transformer: {error}"
    return Reply(400, fault=True) if isinstance(error, UnsendableError) else Reply(500, fault=True)
