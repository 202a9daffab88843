"""The first step of a load: YAML or JSON text to elements with marks, by libyaml's event stream.

Unlike PyYAML's own composer it refuses duplicate keys, keeps unusual words as strings (see ``scalars``), names
every problem with its path, and bounds what aliases may expand to.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson
import yaml

from proxyd.errors import ConfigError, Place, Problem
from proxyd.model.element import Element, Step, render
from proxyd.model.scalars import Scalar, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATABASE: Final = "database"  # the name of a text that is made of a database's contents
MAX_ELEMENTS: Final = 5_000_000  # with aliases written out; 10,000 routes and consumers are about 300,000
MAX_DEPTH: Final = 100  # levels of nesting; a real file has about ten

_TAGS: Final[dict[str | None, Callable[[str], Scalar]]] = {
    "!": str,
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:null": resolve,
    "tag:yaml.org,2002:bool": resolve,
    "tag:yaml.org,2002:int": resolve,
    "tag:yaml.org,2002:float": resolve,
}
_SURROGATES: Final = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)


def parse(text: str, file: str) -> Element:
    """Parse one document; ``file`` is the name that problems give.

    What is called ``DATABASE`` was written by this program: in JSON, in one line, and places in it say nothing.

    Raises:
        ConfigError: The text is no YAML, holds a duplicate key or an unknown tag, or is too large or too deep.
    """
    if file == DATABASE:
        return _placeless(orjson.loads(text))
    if text.lstrip()[:1] == "{":
        text = _SURROGATES.sub(_joined, text)  # JSON writes as two escapes what YAML writes as one
    composer = _Composer(file)
    try:
        root = composer.document(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        raise ConfigError([*composer.problems, _syntax_problem(error, text, file)]) from None
    if composer.problems:
        raise ConfigError(composer.problems)
    return root


def _placeless(value: Any) -> Element:
    """Return what JSON holds as elements that stand nowhere."""
    if isinstance(value, dict):
        entries = {key: _placeless(below) for key, below in value.items()}
        return Element(entries, 0, 0, keys={})
    if isinstance(value, list):
        return Element([_placeless(below) for below in value], 0, 0)
    return Element(value, 0, 0)


def _joined(pair: re.Match[str]) -> str:
    high, low = int(pair[1], 16), int(pair[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08X}"


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """Translate the parser's exception; it is shown without the text around it, which may be secret."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        what = " ".join(part for part in (error.problem, error.context) if part)
    else:
        position = getattr(error, "position", 0)
        line_start = text.rfind("\n", 0, position) + 1
        place = Place(file, text.count("\n", 0, position) + 1, position - line_start + 1)
        what = str(getattr(error, "reason", "unreadable"))
    lines = text.splitlines()
    at = lines[place.line - 1][place.column - 1 : place.column] if 0 < place.line <= len(lines) else ""
    hint = "indent with spaces, not tabs" if at == "\t" else ""
    return Problem(place, "", f"not valid YAML: {what}", hint)


class _TooMuchError(Exception):
    """The document is beyond a bound; the rest of it is not looked at."""


class _Composer:
    """Builds elements out of one document's events, and collects what is wrong with them."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._anchors: dict[str, Element] = {}
        self._path: list[Step] = []
        self._events: Iterator[Any] = iter(())

    def document(self, events: Iterator[Any]) -> Element:
        """Return the root of the only document; a mapping without entries when there is none."""
        self._events = events
        root = Element({}, 1, 1, keys={})
        next(events)  # stream start
        if isinstance(next(events), yaml.DocumentStartEvent):
            try:
                root = self._compose(next(events))
            except _TooMuchError:
                return root
            next(events)  # document end
            extra = next(events)
            if isinstance(extra, yaml.DocumentStartEvent):
                self._problem(extra, "a second document begins here", "one file holds one document")
        return root

    def _compose(self, event: Any) -> Element:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            mark = event.start_mark
            element = Element(self._scalar(event), mark.line + 1, mark.column + 1)
        elif kind is yaml.AliasEvent:
            return self._alias(event)
        else:
            if len(self._path) >= MAX_DEPTH:
                self._problem(event, f"nested deeper than {MAX_DEPTH} levels")
                raise _TooMuchError
            mark = event.start_mark
            element = Element(None, mark.line + 1, mark.column + 1)
            if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
                self._problem(event, f"unknown tag {event.tag}")
            (self._sequence if kind is yaml.SequenceStartEvent else self._mapping)(element)
            if element.size > MAX_ELEMENTS:
                self._problem(event, f"more than {MAX_ELEMENTS:,} values with its aliases written out")
                raise _TooMuchError
        if event.anchor is not None:
            self._anchors[event.anchor] = element
        return element

    def _scalar(self, event: Any) -> Scalar:
        if event.tag is None:
            return resolve(event.value) if event.implicit[0] else str(event.value)
        if event.tag not in _TAGS:
            self._problem(event, f"unknown tag {event.tag}")
            return None
        return _TAGS[event.tag](event.value)

    def _alias(self, event: Any) -> Element:
        try:
            return self._anchors[event.anchor]
        except KeyError:
            self._problem(event, f"alias *{event.anchor} has no anchor before it")
            return Element(None, event.start_mark.line + 1, event.start_mark.column + 1)

    def _sequence(self, element: Element) -> None:
        items: list[Element] = []
        for event in iter(lambda: next(self._events), None):
            if type(event) is yaml.SequenceEndEvent:
                break
            self._path.append(len(items))
            item = self._compose(event)
            self._path.pop()
            element.size += item.size
            items.append(item)
        element.value = items

    def _mapping(self, element: Element) -> None:
        entries: dict[str, Element] = {}
        keys: dict[str, tuple[int, int]] = {}
        merged: list[Element] = []
        for event in iter(lambda: next(self._events), None):
            if type(event) is yaml.MappingEndEvent:
                break
            key = self._key(event)
            place = (event.start_mark.line + 1, event.start_mark.column + 1)
            self._path.append(key)
            value = self._compose(next(self._events))
            if key == "<<" and event.implicit[0]:
                merged.extend(value.value if isinstance(value.value, list) else [value])
            elif key in entries:
                line, column = keys[key]
                self._problem(event, "this key is given twice", f"first at {self._file}:{line}:{column}")
            else:
                entries[key] = value
                keys[key] = place
            self._path.pop()
            element.size += value.size
        element.value, element.keys = entries, keys
        for source in merged:
            self._merge(element, source)

    def _key(self, event: Any) -> str:
        if type(event) is yaml.ScalarEvent:
            return str(event.value)
        self._problem(event, "a key must be a plain word")
        raise _TooMuchError

    def _merge(self, into: Element, source: Element) -> None:
        """Take over the entries of a merge key that are not given beside it (yaml.org/type/merge.html)."""
        if not isinstance(source.value, dict):
            problem = Problem(
                source.place(self._file), render([*self._path, "<<"]), "only a mapping can be merged"
            )
            self.problems.append(problem)
            return
        entries, keys = into.value, into.keys
        if isinstance(entries, dict) and keys is not None:
            for key, value in source.value.items():
                if key not in entries:
                    entries[key] = value
                    keys[key] = (source.keys or {})[key]

    def _problem(self, event: Any, message: str, hint: str = "") -> None:
        mark = event.start_mark
        place = Place(self._file, mark.line + 1, mark.column + 1)
        self.problems.append(Problem(place, render(self._path), message, hint))
