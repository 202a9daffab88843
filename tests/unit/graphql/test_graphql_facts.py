"""What operations count through their fragments, held to what they count written out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from graphql import FieldNode, FragmentSpreadNode, parse
from hypothesis import given
from hypothesis import strategies as st

from proxyd.graphql.document import Document
from proxyd.graphql.facts import MANY, Facts
from proxyd.graphql.refusal import Refused


def facts(text, name=None):
    """Return the facts of an operation."""
    return Document(text).operation(name).facts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ a }", Facts(depth=1, nesting=1, root_fields=1, fields=1)),
        ("{ a b { c d } }", Facts(depth=2, nesting=2, root_fields=2, fields=4)),
        ("{ x: a y: b }", Facts(depth=1, nesting=1, root_fields=2, fields=2, aliases=2)),
        ("{ ... { a } }", Facts(depth=1, nesting=2, root_fields=1, fields=1)),
        (
            "query($v: Int @a) @b { ... @c { f @d } ...F @e } fragment F on T @g { h @i }",
            Facts(depth=1, nesting=2, root_fields=2, fields=2, directives=7),
        ),
        (
            "{ a { ...F } ...F } fragment F on T { x: b { c } }",
            Facts(depth=3, nesting=4, root_fields=2, fields=5, aliases=2),
        ),
    ],
)
def test_facts(text, expected):
    """Each fragment counts wherever it is spread."""
    assert facts(text) == expected


def test_fragments_of_fragments_are_not_written_out():
    """A document of some hundred tokens that stands for more fields than there are numbers for stops at many."""
    doubling = "".join(f"fragment F{i} on T {{ x: a @b ...F{i + 1} ...F{i + 1} }} " for i in range(120))
    found = facts("{ ...F0 } " + doubling + "fragment F120 on T { a }")
    assert (found.fields, found.aliases, found.directives) == (MANY, MANY, MANY)
    assert (found.depth, found.nesting) == (1, 122)


def test_a_long_chain_of_fragments_meets_no_limit_of_recursion():
    """Fragments are put in order without recursion."""
    chain = "".join(f"fragment F{i} on T {{ ...F{i + 1} }} " for i in range(5000))
    assert facts("{ ...F0 } " + chain + "fragment F5000 on T { a }").nesting == 5002


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{ ...F }", "Unknown fragment F"),
        ("{ a } fragment F on T { ...G }", "Unknown fragment G"),
        ("{ a } fragment F on T { ...F }", "Fragment F is spread within itself"),
        ("{ ...F } fragment F on T { b { ...G } } fragment G on T { ...F }", "is spread within itself"),
        ("{ a } fragment F on T { a } fragment F on T { b }", "more than one fragment F"),
        ("query A { a } query A { b }", "a name of its own"),
        ("{ a } query A { b }", "a name of its own"),
        ("type T { a: Int }", "Only operations and fragments"),
    ],
)
def test_documents_that_no_backend_would_execute(text, message):
    """Are refused, in words that name nothing of a schema."""
    with pytest.raises(Refused, match=message) as caught:
        Document(text)
    assert (caught.value.status, caught.value.code) == (400, "GRAPHQL_VALIDATION_FAILED")


# --- against writing it out ------------------------------------------------------------------------------------


@dataclass
class Written:
    """A document's fragments, and what it counts where they are put in place of their spreads."""

    fragments: dict

    def count(self, selections, level=1):
        depth, nesting, fields, aliases, directives = 0, level, 0, 0, 0
        roots = 0
        for one in selections:
            directives += len(one.directives or ())
            if isinstance(one, FieldNode):
                roots += 1
                fields += 1
                aliases += one.alias is not None
                below = self.count(one.selection_set.selections, level + 1) if one.selection_set else Facts()
                depth = max(depth, 1 + below.depth)
            else:
                inner = self.fragments[one.name.value] if isinstance(one, FragmentSpreadNode) else one
                directives += len(inner.directives or ()) if inner is not one else 0
                below = self.count(inner.selection_set.selections, level + 1)
                roots += below.root_fields
                depth = max(depth, below.depth)
            nesting = max(nesting, below.nesting)
            fields += below.fields
            aliases += below.aliases
            directives += below.directives
        return Facts(depth, nesting, roots, fields, aliases, directives)


def selections(names):
    """Return a strategy of selection sets that spread some of these fragments."""
    fields = st.sampled_from(["a", "x: a", "b @d", "y: b @d @e"])
    leaves = [fields, *([st.sampled_from([f"...{name}" for name in names])] if names else [])]
    return st.recursive(
        st.one_of(leaves),
        lambda inner: st.builds(
            lambda head, some: f"{head} {{ {' '.join(some)} }}",
            st.sampled_from(["a", "x: a @d", "...", "... on T @e"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        max_leaves=8,
    ).map(lambda one: f"{{ {one} }}")


@st.composite
def documents(draw):
    """Return a document whose fragments spread those behind them."""
    count = draw(st.integers(0, 4))
    names = [f"F{i}" for i in range(count)]
    parts = [f"fragment {name} on T @f {draw(selections(names[i + 1 :]))}" for i, name in enumerate(names)]
    return " ".join(draw(st.permutations([f"query {draw(selections(names))}", *parts])))


@given(documents())
def test_facts_are_those_of_the_document_written_out(text):
    """However fragments are spread, and in whatever order they stand."""
    tree = parse(text)
    named = {one.name.value: one for one in tree.definitions if one.kind == "fragment_definition"}
    (operation,) = [one for one in tree.definitions if one.kind == "operation_definition"]
    assert facts(text) == Written(named).count(operation.selection_set.selections)
