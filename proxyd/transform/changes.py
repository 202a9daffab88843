"""Changes as a plugin is told them, compiled: what is removed, renamed, replaced, added and appended, in that order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from proxyd.errors import UnsendableError
from proxyd.http1.headers import is_field_value
from proxyd.transform.rules import FRAMING, split
from proxyd.transform.template import Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from proxyd.http1.headers import Headers
    from proxyd.transform.template import Scope

    Compile = Callable[[str, int], Template]


class Target(Protocol):
    """What can be changed: a query, a form, an object. Each of these does nothing where it does not apply."""

    def __contains__(self, name: bytes, /) -> bool:
        """Whether there is one of this name."""

    def remove(self, name: bytes) -> None:
        """Take all of a name out."""

    def rename(self, old: bytes, new: bytes) -> None:
        """Give what is there another name."""

    def replace(self, name: bytes, value: bytes) -> None:
        """Set what is there."""

    def add(self, name: bytes, value: bytes) -> None:
        """Set what is not there."""

    def append(self, name: bytes, value: bytes) -> None:
        """Put another value behind."""


class Changes:
    """Changes to a query, a form or an object. False where there are none; ``literal`` where no template is in them.

    A template is evaluated only where its change applies.
    """

    def __init__(
        self,
        remove: Iterable[str],
        rename: Iterable[str],
        replace: Iterable[str],
        add: Iterable[str],
        append: Iterable[str],
    ) -> None:
        self._remove = [split(entry)[0].encode() for entry in remove]
        self._rename = [_pair(entry) for entry in rename]
        self._replace = [_pair(entry) for entry in replace]
        self._add = [_pair(entry) for entry in add]
        self._append = [_pair(entry) for entry in append]
        pairs = [*self._rename, *self._replace, *self._add, *self._append]
        self.literal = all(template.literal is not None for _, template in pairs)
        self._any = bool(self._remove or pairs)

    def __bool__(self) -> bool:
        return self._any

    def apply(
        self, target: Target, scope: Scope | None, written: Callable[[bytes], bytes] = lambda value: value
    ) -> None:
        """Change ``target``; ``written`` makes of a text what stands for it there. Raises RenderError."""
        for name in self._remove:
            target.remove(name)
        for name, template in self._rename:
            if name in target:
                target.rename(name, template.render(scope))
        for name, template in self._replace:
            if name in target:
                target.replace(name, written(template.render(scope)))
        for name, template in self._add:
            if name not in target:
                target.add(name, written(template.render(scope)))
        for name, template in self._append:
            target.append(name, written(template.render(scope)))


def _pair(entry: str) -> tuple[bytes, Template]:
    name, _, start = split(entry)
    return name.encode(), Template(entry, start)


class Field(NamedTuple):
    """A header to be set: its key among the lines, its name, its value, and its line where that is always the same and not empty."""

    key: bytes
    name: bytes
    value: Template
    line: bytes | None


class HeaderChanges:
    """Changes to a header section. ``untouched`` are keys that no change applies to, beside those that frame messages.

    With ``omit_empty``, a header whose value comes to nothing is left out. False where there are no changes.
    """

    def __init__(
        self,
        remove: Iterable[str],
        rename: Iterable[str],
        replace: Iterable[str],
        add: Iterable[str],
        append: Iterable[str],
        *,
        compile_value: Compile = Template,
        untouched: frozenset[bytes] = frozenset(),
        omit_empty: bool = False,
    ) -> None:
        untouched |= FRAMING
        named = [split(entry)[:2] for entry in rename]
        self._remove = [key for entry in remove if (key := _key(split(entry)[0])) not in untouched]
        self._rename = [
            (_key(old), new.encode()) for old, new in named if untouched.isdisjoint({_key(old), _key(new)})
        ]
        self._replace = _fields(replace, compile_value, untouched)
        self._add = _fields(add, compile_value, untouched)
        self._append = _fields(append, compile_value, untouched)
        self._omit_empty = omit_empty
        fields = [*self._replace, *self._add, *self._append]
        self.literal = all(field.value.literal is not None for field in fields)
        self._any = bool(self._remove or self._rename or fields)
        renamed = [key for old, name in self._rename for key in (old, name.lower())]
        self._keys = frozenset((*self._remove, *renamed, *[field.key for field in fields]))
        self._plain = frozenset(key.replace(b"_", b"-") for key in self._keys)

    def __bool__(self) -> bool:
        return self._any

    def strip_lookalikes(self, headers: Headers) -> None:
        """Take out what CGI and WSGI would read as a header that is changed here: a client's ``X_Role`` for ``X-Role``."""
        lines = headers.lines
        for key in [key for key in lines if b"_" in key]:
            if key not in self._keys and key.replace(b"_", b"-") in self._plain:
                del lines[key]

    def apply(self, headers: Headers, scope: Scope | None) -> None:
        """Change a section; raises RenderError."""
        lines = headers.lines
        for key in self._remove:
            lines.pop(key, None)
        for old, name in self._rename:
            if old in lines:
                _move(headers, old, name)
        for field in self._replace:
            if lines.pop(field.key, None) and (line := field.line or self._line(field, scope)):
                lines[field.key] = line
        for field in self._add:
            if field.key not in lines and (line := field.line or self._line(field, scope)):
                lines[field.key] = line
        for field in self._append:
            if line := field.line or self._line(field, scope):
                lines[field.key] = lines.get(field.key, b"") + line

    def _line(self, field: Field, scope: Scope | None) -> bytes:
        value = field.value.render(scope).strip(b" \t")
        if not is_field_value(value):
            raise UnsendableError("a value cannot stand in a header")
        if not value and self._omit_empty:
            return b""
        return b"%b: %b\r\n" % (field.name, value)


def _move(headers: Headers, old: bytes, name: bytes) -> None:
    values = headers.get_all(old)
    headers.remove(old)
    headers.remove(name.lower())
    for value in values:
        headers.add(name, value)


def _key(name: str) -> bytes:
    return name.lower().encode()


def _fields(entries: Iterable[str], compile_value: Compile, untouched: frozenset[bytes]) -> Sequence[Field]:
    fields = []
    for entry in entries:
        name, value, start = split(entry)
        start += len(value) - len(value.lstrip(" \t"))
        if not value or _key(name) in untouched:
            continue  # without a value, Kong does nothing either
        template = compile_value(entry, start)
        literal = template.literal
        fixed = b"" if literal is None else literal.strip(b" \t")
        line = b"%b: %b\r\n" % (name.encode(), fixed) if fixed else None
        fields.append(Field(_key(name), name.encode(), template, line))
    return fields
