"""Kong's templates: a text with expressions in ``$(...)``.

A text without any is known as the configuration is read, and costs a request nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.errors import RenderError, UnsendableError
from proxyd.transform.lexer import TemplateError
from proxyd.transform.lua import MAX_RESULT, rendered
from proxyd.transform.parser import Parser
from proxyd.transform.scope import Scope

if TYPE_CHECKING:
    from proxyd.transform.parser import Expression

__all__ = ["MAX_TEMPLATE", "RenderError", "Scope", "Template", "TemplateError", "UnsendableError"]

MAX_TEMPLATE: Final = 16 * 1024  # characters; several keys of a signing service fit


class Template:
    """One template. ``literal`` is its text where every request gets the same, and None otherwise.

    ``start`` is where in ``text`` the template begins; places in complaints count from the beginning of ``text``.
    Raises TemplateError.
    """

    __slots__ = ("_parts", "literal")

    def __init__(self, text: str, start: int = 0) -> None:
        if len(text) > MAX_TEMPLATE:
            raise TemplateError(f"a template has {MAX_TEMPLATE} characters at most", 0)
        parts = _parts(text, start)
        self._parts = parts
        self.literal: bytes | None = None
        texts = [part for part in parts if isinstance(part, bytes)]
        if len(texts) == len(parts):
            self.literal = b"".join(texts)

    def __repr__(self) -> str:
        return f"<Template {'literal' if self.literal is not None else f'parts={len(self._parts)}'}>"

    @classmethod
    def verbatim(cls, text: str) -> Template:
        """Make one of a text in which ``$(`` means nothing."""
        made = cls("")
        made.literal = text.encode()
        return made

    def render(self, scope: Scope | None) -> bytes:
        """Return the text for one request; raises RenderError where an expression has no value.

        Without a ``scope``, where there is nothing but literal text.
        """
        if self.literal is not None:
            return self.literal
        result = b"".join(
            [part if isinstance(part, bytes) else rendered(part(scope)) for part in self._parts]  # type: ignore[arg-type]
        )
        if len(result) > MAX_RESULT:
            raise RenderError("a text gets too long")
        return result


def _parts(text: str, start: int) -> list[bytes | Expression]:
    parts: list[bytes | Expression] = []
    while (opening := text.find("$(", start)) >= 0:
        if opening > start:
            parts.append(text[start:opening].encode())
        parser = Parser(text, opening + 2)
        expression, start = parser.enclosed()
        parts.append(expression if parser.roots else _evaluated(expression, opening))
    if start < len(text):
        parts.append(text[start:].encode())
    return parts


def _evaluated(expression: Expression, position: int) -> bytes:
    """Return the text of an expression that looks at nothing of the request."""
    try:
        return rendered(expression(None))  # type: ignore[arg-type]  # it never looks
    except RenderError as error:
        raise TemplateError(f"the expression always fails: {error}", position) from None
