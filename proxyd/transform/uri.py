"""The path that takes the place of the upstream's: checked as it is read, brought to its one form as it is made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_from_bytes

from proxyd.errors import ProtocolError, UnsendableError
from proxyd.http1.target import normalise_path
from proxyd.transform.template import Template

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.transform.template import Scope

_KEPT: Final = "!$&'()*+,/:;=?@%~[]"  # what Kong lets stand in a path, an escape's % and a query's ? among it
_DOTS: Final = re.compile(r"(?:^|/)\.\.?(?:/|$)")


def check_path(text: str) -> str:
    """Return a path or template of one that can be sent; raises ValueError."""
    template = Template(text)
    if not text.startswith(("/", "$(")):
        raise ValueError("a path starts with a slash")
    if template.literal is not None:
        try:
            _taken_apart(template.literal)
        except UnsendableError as error:
            raise ValueError(f"this is no path: {error}") from None
    return text


class ReplacementPath:
    """A path, or a template of one; ``literal`` where every request gets the same."""

    def __init__(self, text: str) -> None:
        self._template = Template(text)
        literal = self._template.literal
        self._fixed = _taken_apart(literal) if literal is not None else None
        self.literal = literal is not None

    def apply(self, exchange: Exchange, scope: Scope | None) -> None:
        """Have the upstream asked for this path; arguments in it come before the request's. Raises RenderError."""
        path, query = self._fixed or _taken_apart(self._template.render(scope))
        exchange.replaced_path = path
        if query:
            own = exchange.request.query
            exchange.request.query = f"{query}&{own[1:]}" if len(own) > 1 else query


def _taken_apart(text: bytes) -> tuple[str, str]:
    """Return path and query, which begins with its ``?``."""
    path, mark, query = quote_from_bytes(text, safe=_KEPT).partition("?")
    # A client that a template takes a value from must not climb by it.
    if _DOTS.search(path.replace("%2E", ".").replace("%2e", ".")):
        raise UnsendableError("there is a dot segment in the path")
    try:
        return normalise_path(path), mark + query
    except ProtocolError as error:
        raise UnsendableError(error.reason) from None
