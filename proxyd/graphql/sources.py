"""Files of operations and fragments, put together as documents that can be asked for: what builds a manifest.

Each operation stands for itself, with the fragments that it uses, wherever those are. The text is made from the syntax, so that
spaces and comments of the files make no difference: operation first, fragments by name, as Apollo's tools have it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Source,
    TypeSystemDefinitionNode,
    TypeSystemExtensionNode,
    Visitor,
    parse,
    print_ast,
    validate,
    visit,
)

from proxyd.errors import ConfigError, Place, Problem
from proxyd.graphql.kept import digest_of
from proxyd.graphql.manifest import APOLLO, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphql import GraphQLSchema, Node

SUFFIXES: Final = (".graphql", ".gql")
_OF_SCHEMAS: Final = (TypeSystemDefinitionNode, TypeSystemExtensionNode)
_PASSED_OVER: Final = frozenset({"node_modules", "__generated__"})


class Made(NamedTuple):
    """An operation as a manifest has it."""

    id: str
    body: str
    name: str
    type: str


def find_files(given: Iterable[str]) -> list[str]:
    """Return the files that are meant, those of folders below them too; raises ConfigError."""
    found: dict[str, None] = {}
    problems: list[Problem] = []
    for name in given:
        path = Path(name)
        if path.is_dir():
            found.update(dict.fromkeys(_below(path)))
        elif path.is_file():
            found[name] = None
        else:
            problems.append(Problem(Place(name), "", "there is no such file or folder"))
    if problems:
        raise ConfigError(problems)
    return list(found)


def _below(folder: Path) -> Iterator[str]:
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER and name[0] != ".")
        for name in sorted(files):
            if name.endswith(SUFFIXES):
                yield str(Path(directory, name))


class Sources:
    """The operations and fragments of some files. ``problems`` is what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.operations: dict[str, OperationDefinitionNode] = {}
        self.fragments: dict[str, FragmentDefinitionNode] = {}
        self._spread: dict[str, list[FragmentSpreadNode]] = {}

    def __repr__(self) -> str:
        return f"<Sources operations={len(self.operations)} fragments={len(self.fragments)}>"

    def read(self, name: str) -> None:
        """Read a file."""
        try:
            text = Path(name).read_bytes().decode("utf-8-sig")
        except OSError as error:
            self._complain(Place(name), f"cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self._complain(Place(name), "is not UTF-8")
        else:
            self.add(name, text)

    def add(self, name: str, text: str) -> None:
        """Take a file's text."""
        try:
            document = parse(Source(text, name))
        except GraphQLError as error:
            where = error.locations[0] if error.locations else None
            place = Place(name, where.line, where.column) if where is not None else Place(name)
            self._complain(place, error.message.removeprefix("Syntax Error: ").rstrip("."))
            return
        except RecursionError:
            self._complain(Place(name), "is nested too deeply")
            return
        if all(isinstance(node, _OF_SCHEMAS) for node in document.definitions):
            return
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                self._add("operation", self.operations, node)
            elif isinstance(node, FragmentDefinitionNode):
                self._add("fragment", self.fragments, node)
            else:
                self._complain(_place(node), "is a definition of types", "they are in files of their own")

    def _add(self, kind: str, there: dict[str, Any], node: Any) -> None:
        place = _place(node)
        if node.name is None:
            self._complain(place, "the operation has no name")
            return
        name = node.name.value
        if name in there:
            first = _place(there[name])
            self._complain(place, f"there is another {kind} {name}", f"the first one is at {first}")
            return
        there[name] = node

    def make(self, *, typename: bool = False, graph: GraphQLSchema | None = None) -> list[Made]:
        """Return every operation with its fragments, by name; raises ConfigError with all problems.

        With a schema, whatever is not valid for it is a problem too.
        """
        self._check_circles()
        made = []
        invalid: list[GraphQLError] = []
        for name, operation in sorted(self.operations.items()):
            used: dict[str, FragmentDefinitionNode] = {}
            self._use(operation, used)
            fragments = [used[key] for key in sorted(used)]
            document = DocumentNode(definitions=(operation, *fragments))
            if graph is not None and not self.problems:
                invalid += validate(graph, document)
            if typename:
                document = visit(document, _Typename())
            body = print_ast(document)
            made.append(Made(digest_of(body), body, name, operation.operation.value))
        for error in invalid:
            self._complain(_place(*(error.nodes or ())[:1]), error.message)
        if not self.operations and not self.problems:
            self._complain(Place("."), "there is no operation in these files")
        if self.problems:
            unique = list(dict.fromkeys(self.problems))
            raise ConfigError(
                sorted(unique, key=lambda one: (one.place.file, one.place.line, one.place.column))
            )
        return made

    def _use(self, operation: OperationDefinitionNode, used: dict[str, FragmentDefinitionNode]) -> None:
        """Collect the fragments that an operation uses, and those that they use."""
        waiting = _spreads(operation)
        while waiting:
            spread = waiting.pop()
            name = spread.name.value
            fragment = self.fragments.get(name)
            if fragment is None:
                self._complain(_place(spread), f"there is no fragment {name}")
            elif name not in used:
                used[name] = fragment
                waiting += self._spreads_of(name)

    def _spreads_of(self, name: str) -> list[FragmentSpreadNode]:
        found = self._spread.get(name)
        if found is None:
            found = self._spread[name] = _spreads(self.fragments[name])
        return found

    def _check_circles(self) -> None:
        """Complain of fragments that come back to themselves."""
        for name in self.fragments:
            seen: set[str] = set()
            waiting = [spread.name.value for spread in self._spreads_of(name)]
            while waiting:
                one = waiting.pop()
                if one == name:
                    self._complain(_place(self.fragments[name]), f"the fragment {name} spreads itself")
                    break
                if one not in seen and one in self.fragments:
                    seen.add(one)
                    waiting += [spread.name.value for spread in self._spreads_of(one)]

    def _complain(self, place: Place, message: str, hint: str = "") -> None:
        self.problems.append(Problem(place, "", message, hint))


def _place(node: Node | None = None) -> Place:
    """Return where a node stands: the parser has noted it, file and all."""
    if node is None or node.loc is None:
        return Place(".")
    token = node.loc.start_token
    return Place(node.loc.source.name, token.line, token.column)


def _spreads(definition: OperationDefinitionNode | FragmentDefinitionNode) -> list[FragmentSpreadNode]:
    """Return the fragments that a definition spreads itself, in the order of its text."""
    found: list[FragmentSpreadNode] = []
    waiting = list(definition.selection_set.selections[::-1])
    while waiting:
        one = waiting.pop()
        if isinstance(one, FragmentSpreadNode):
            found.append(one)
        elif isinstance(one, FieldNode | InlineFragmentNode) and one.selection_set is not None:
            waiting += one.selection_set.selections[::-1]
    return found


class _Typename(Visitor):
    """Adds ``__typename`` where Apollo Client's cache does: to every selection but an operation's own."""

    def leave_selection_set(
        self, node: SelectionSetNode, _key: Any, parent: Any, *_: Any
    ) -> SelectionSetNode | None:
        if isinstance(parent, OperationDefinitionNode):
            return None
        for one in node.selections:
            if isinstance(one, FieldNode) and one.name.value.startswith("__"):
                return None  # has it, or is of introspection
        field = FieldNode(
            name=NameNode(value="__typename"), alias=None, arguments=(), directives=(), selection_set=None
        )
        return SelectionSetNode(selections=(*node.selections, field))


def write_apollo(made: Sequence[Made]) -> bytes:
    """Write a manifest in Apollo's format; the same operations give the same bytes."""
    return _write({"format": APOLLO, "version": VERSION, "operations": [one._asdict() for one in made]})


def write_relay(made: Sequence[Made]) -> bytes:
    """Write one in Relay's."""
    return _write({one.id: one.body for one in sorted(made)})


def _write(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
