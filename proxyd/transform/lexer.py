"""A template's expressions, cut into tokens; each knows where it stands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYWORDS: Final = frozenset({"and", "or", "not", "nil", "true", "false"})
_STATEMENTS: Final = frozenset(
    {
        "break",
        "do",
        "else",
        "elseif",
        "end",
        "for",
        "function",
        "goto",
        "if",
        "in",
        "local",
        "repeat",
        "return",
        "then",
        "until",
        "while",
    }
)
_TOKEN: Final = re.compile(
    r"[ \t\r\n]*+(?:"
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*+)"
    r"|(?P<number>0[xX][0-9a-fA-F]{1,13}(?![A-Za-z0-9_.])"
    r"|(?:[0-9]++(?:\.(?!\.)[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?(?![A-Za-z0-9_.]))"
    r"|(?P<text>'(?:[^'\\\n]|\\.)*+'|\"(?:[^\"\\\n]|\\.)*+\")"
    r"|(?P<sign>--|\[=*\[|\.\.\.|\.\.|==|~=|<=|>=|[-+*/%<>#()\[\].,:={}^;~])"
    r")",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(?:([0-9]{1,3})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PLAIN: Final = {
    "a": b"\a",
    "b": b"\b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
    '"': b'"',
    "'": b"'",
    "\n": b"\n",
}


class TemplateError(ValueError):
    """A template that is not taken: what is wrong, with its place in the text, and what would be right.

    The text itself is not repeated: it may hold a key. ``args`` are message and hint, as ``model`` reads them.
    """

    def __init__(self, message: str, position: int, hint: str = "") -> None:
        super().__init__(f"at character {position + 1}: {message}", *([hint] if hint else []))
        self.position = position


class Token(NamedTuple):
    """A piece of an expression. ``kind`` is name, number, text or sign; ``text`` as written, ``value`` a text's."""

    kind: str
    text: str
    start: int
    end: int
    value: bytes = b""


def tokens(text: str, start: int) -> Iterator[Token]:
    """Yield the tokens of ``text`` from ``start`` on; whoever asks for them stops when the expression is over."""
    while True:
        match = _TOKEN.match(text, start)
        if match is None:
            raise _complaint(text, start)
        kind = str(match.lastgroup)
        found = match[kind]
        begin, start = match.span(kind)
        if kind == "sign" and (found == "--" or (found[0] == "[" and len(found) > 1)):
            raise TemplateError("comments and long strings are not taken", begin, "write '...' for a string")
        if kind == "name" and found in _STATEMENTS:
            raise TemplateError("statements and functions are not run, only an expression is", begin)
        yield Token(kind, found, begin, start, _unescaped(found, begin) if kind == "text" else b"")


def _complaint(text: str, start: int) -> TemplateError:
    rest = text[start:].lstrip(" \t\r\n")
    position = len(text) - len(rest)
    if not rest:
        return TemplateError("the expression has no end", position, "$('$(') stands for $( itself")
    if rest[0] in "'\"":
        return TemplateError("the string has no end", position)
    return TemplateError("what stands here is not Lua", position)


def _unescaped(quoted: str, position: int) -> bytes:
    text = quoted[1:-1]
    if "\\" not in text:
        return text.encode()
    parts: list[bytes] = []
    last = 0
    for match in _ESCAPE.finditer(text):
        parts.append(text[last : match.start()].encode())
        last = match.end()
        decimal, hexadecimal, plain = match.groups()
        if plain is None:
            code = int(decimal) if decimal else int(hexadecimal, 16)
            if code > 255:  # noqa: PLR2004  # the largest byte
                raise TemplateError("there is no such byte", position + 1 + match.start())
            parts.append(bytes([code]))
        elif plain in _PLAIN:
            parts.append(_PLAIN[plain])
        else:
            raise TemplateError("there is no such escape", position + 1 + match.start(), r"\\ is a backslash")
    parts.append(text[last:].encode())
    return b"".join(parts)
