"""What operations cost: by the schema's directives and the configuration, held against a naive expansion."""

from __future__ import annotations

from itertools import count

import pytest
from graphql import build_schema, validate
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from schema_case import caller, examine, plugin

from proxyd.graphql.document import Document
from proxyd.graphql.refusal import Refused
from proxyd.graphql.schema.cost import cost_of
from proxyd.graphql.schema.known import from_sdl
from proxyd.graphql.schema.reporting import extended
from proxyd.graphql.schema.weights import Table, Weights
from proxyd.plugins.graphql import GraphQL

SDL = """
    type Query {
        me: User @cost(weight: 3)
        all: [User]
        users(first: Int = 4): [User] @listSize(slicingArguments: ["first"], assumedSize: 6, requireOneSlicingArgument: false)
        strict(first: Int, last: Int): [User] @listSize(slicingArguments: ["first", "last"])
        page(first: Int, page: Page): Conn
            @listSize(slicingArguments: ["first", "page.first"], sizedFields: ["edges"], requireOneSlicingArgument: false)
        some(ids: [ID!]!): [User] @listSize(slicingArguments: ["ids"])
        node: Node
        found: [Found]
        filtered(by: Filter, status: Status, limit: Int @cost(weight: 2)): Int
    }
    type Mutation { touch: User }
    type Conn { edges: [Edge!] total: Int }
    type Edge { node: User }
    interface Node { id: ID  parts: [User] }
    type User implements Node {
        id: ID
        name: String @cost(weight: 1)
        parts: [User] @listSize(assumedSize: 50)
        friends(first: Int): [User] @listSize(slicingArguments: ["first"], assumedSize: 7, requireOneSlicingArgument: false)
    }
    type Post implements Node @cost(weight: 20) { id: ID @cost(weight: 4)  parts: [User] }
    union Found = User | Post
    input Page { first: Int = 9 }
    input Filter @cost(weight: 1) { text: String @cost(weight: 5) and: [Filter] }
    enum Status { OPEN CLOSED @deprecated }
"""
TABLE = Table(from_sdl(SDL, "schema").graph, Weights())


def cost(query, variables=None, table=TABLE):
    document = Document(query)
    assert not validate(table.graph, document.syntax)
    return cost_of(next(iter(document.operations.values())), variables or {}, table)


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        ("{__typename}", {}, 0),
        ("{me{id}}", {}, 3),
        ("{me{name name}}", {}, 5),
        ("{all{id}}", {}, 10),
        ("{all{name}}", {}, 20),
        ("{users{id}}", {}, 4),
        ("{users(first:3){id}}", {}, 3),
        ("{users(first:0){friends{id}}}", {}, 0),
        ("{users(first:-1){id}}", {}, 6),
        ("{users(first:null){id}}", {}, 6),
        ("query($n:Int){users(first:$n){id}}", {"n": 8}, 8),
        ("query($n:Int){users(first:$n){id}}", {}, 4),
        ("query($n:Int){users(first:$n){id}}", {"n": None}, 6),
        ("query($n:Int){users(first:$n){id}}", {"n": -5}, 6),
        ("query($n:Int){users(first:$n){id}}", {"n": "12"}, 12),
        ("query($n:Int){users(first:$n){id}}", {"n": True}, 6),
        ("query($n:Int){users(first:$n){id}}", {"n": {"a": 1}}, 6),
        ("query($n:Int=2){users(first:$n){friends(first:$n){id}}}", {}, 6),
        ("query($n:Int=2){users(first:$n){friends(first:$n){id}}}", {"n": 3}, 12),
        ("{strict(last:3){id}}", {}, 3),
        ("query($a:Int $b:Int){strict(first:$a,last:$b){id}}", {"a": 5}, 5),
        ("query($a:Int $b:Int){strict(first:$a,last:$b){id}}", {"a": None, "b": 2}, 2),
        ("{page(first:5){total edges{node{id}}}}", {}, 11),
        ("{page(first:5){...f}} fragment f on Conn{...{edges{node{id}}}}", {}, 11),
        ("{page{edges{node{id}}}}", {}, 21),
        ("{page(page:{first:3}){edges{node{id}}}}", {}, 7),
        ("{page(page:{}){edges{node{id}}}}", {}, 19),
        ("query($n:Int){page(page:{first:$n}){edges{node{id}}}}", {"n": 4}, 9),
        ("query($p:Page){page(page:$p){edges{node{id}}}}", {"p": {"first": 2}}, 5),
        ("query($p:Page){page(page:$p){edges{node{id}}}}", {"p": {}}, 19),
        ("query($p:Page){page(page:$p){edges{node{id}}}}", {"p": 3}, 21),
        ("query($p:Page={first:6}){page(page:$p){edges{node{id}}}}", {}, 13),
        ("query($p:Page $n:Int){page(first:$n,page:$p){edges{node{id}}}}", {"p": {"first": 2}, "n": 3}, 7),
        ("{some(ids:[1,2,3]){id}}", {}, 3),
        ("query($i:[ID!]!){some(ids:$i){id}}", {"i": ["a", "b"]}, 2),
        ("{node{id}}", {}, 24),
        ("{node{parts{id}}}", {}, 70),
        ("{node{...on User{parts{id}}}}", {}, 70),
        ("{found{...on User{id} ...on Post{id}}}", {}, 240),
        ("mutation{touch{id}}", {}, 11),
        ("{filtered}", {}, 0),
        ("{filtered(limit:1)}", {}, 2),
        ('{filtered(by:{text:"a"})}', {}, 6),
        ('{filtered(by:{and:[{text:"a"},{text:"b"}]})}', {}, 14),
        ("query($t:String){filtered(by:{text:$t})}", {}, 6),
        ("query($f:Filter){filtered(by:$f)}", {"f": {"text": "a", "and": {"text": "b"}}}, 12),
        ("query($f:Filter){filtered(by:$f)}", {"f": None}, 0),
        ("query($f:Filter){filtered(by:$f)}", {}, 0),
        ("{a:filtered(limit:1) b:filtered(limit:1)}", {}, 4),
        ("{users(first:1000000000){friends(first:1000000000){friends(first:1000000000){id}}}}", {}, 2**53),
    ],
)
def test_what_operations_cost(query, variables, expected):
    """A field its weight and what is selected of it, as often as its list is long, and its arguments."""
    assert cost(query, variables) == expected


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{strict{id}}", {}),
        ("{strict(first:1,last:1){id}}", {}),
        ("query($a:Int $b:Int){strict(first:$a,last:$b){id}}", {}),
        ("query($a:Int $b:Int){strict(first:$a,last:$b){id}}", {"a": 1, "b": 1}),
    ],
)
def test_exactly_one_slicing_argument_is_needed(query, variables):
    """Unless the directive says otherwise."""
    with pytest.raises(Refused, match="exactly one"):
        cost(query, variables)


def test_the_configuration_goes_before_the_directives():
    """By coordinate; and it says what usual fields weigh."""
    config = Weights(
        default_list_size=2,
        object=5,
        scalar=1,
        mutation=0,
        weights={"Query.me": 7, "User.name": 0.25, "Query.users(first:)": 3},
        list_sizes={"Query.all": {"assumed_size": 100}},
    )
    table = Table(TABLE.graph, config)
    assert cost("{me{id}}", table=table) == 8
    assert cost("{me{name name}}", table=table) == 8
    assert cost("{me{a:name b:name c:name d:name e:name}}", table=table) == 9
    assert cost("{all{id}}", table=table) == 600
    assert cost("{users(first:2){id}}", table=table) == 15
    assert cost("{found{...on User{id}}}", table=table) == 2 * (20 + 1)
    assert cost("mutation{touch{id}}", table=table) == 6


@pytest.mark.parametrize(
    ("sdl", "complaint"),
    [
        ('type Query { a: Int @cost(weight: "x") }', "weight of Query.a"),
        ("type Query { a: Int @cost(weight: -1) }", "weight of Query.a"),
        ('type Query { a: Int @cost(weight: "nan") }', "weight of Query.a"),
        ("type Query { a: [Int] @listSize(assumedSize: -1) }", "assumed_size"),
    ],
)
def test_directives_are_checked(tmp_path, sdl, complaint):
    """As the configuration is loaded."""
    with pytest.raises(ValidationError, match=complaint):
        plugin(tmp_path, sdl, cost={})


# --- against a naive expansion ---------------------------------------------------------------------------------------

# Of each field: its type, weight, whether it is a list, how long one is of which nothing is said, whether it is sliced, and
# whether that is the size of edges.
FIELDS = {
    "Query": {
        "me": ("User", 3, False, 0, False, False),
        "all": ("User", 1, True, 10, False, False),
        "users": ("User", 1, True, 6, True, False),
        "page": ("Conn", 1, False, 10, True, True),
    },
    "Conn": {"edges": ("Edge", 1, True, 10, False, False), "total": (None, 0, False, 0, False, False)},
    "Edge": {"node": ("User", 1, False, 0, False, False)},
    "User": {
        "name": (None, 1, False, 0, False, False),
        "parts": ("User", 1, True, 50, False, False),
        "friends": ("User", 1, True, 7, True, False),
    },
}
KINDS = ("Query", "User", "Conn", "User")  # of the fragments


def selections(kind, depth, first):
    """Return a strategy of selections, which may spread fragments from ``first`` on."""
    ways = []
    if names := [name for name, known in sorted(FIELDS[kind].items()) if depth or known[0] is None]:
        ways.append(
            st.sampled_from(names).flatmap(
                lambda name: st.tuples(
                    st.just("field"),
                    st.just(name),
                    st.sampled_from([None, 0, 1, 5, -2, "$a", "$b"]),
                    selections(FIELDS[kind][name][0], depth - 1, first)
                    if FIELDS[kind][name][0]
                    else st.none(),
                )
            )
        )
    ways += [
        st.tuples(st.just("spread"), st.just(at)) for at in range(first, len(KINDS)) if KINDS[at] == kind
    ]
    if depth:
        ways.append(st.tuples(st.just("inline"), selections(kind, depth - 1, first)))
    return st.lists(st.one_of(ways), min_size=1, max_size=3) if ways else st.just([])


FRAGMENTS = st.tuples(*(selections(kind, 2, at + 1) for at, kind in enumerate(KINDS)))


def written(kind, selected, names):
    words = []
    for one in selected:
        if one[0] == "spread":
            words.append(f"...f{one[1]}")
        elif one[0] == "inline":
            words.append(f"...{{{written(kind, one[1], names)}}}")
        else:
            _, name, argument, below = one
            inner, *_, sliced, _ = FIELDS[kind][name]
            given = f"(first:{argument})" if sliced and argument is not None else ""
            words.append(
                f"x{next(names)}:{name}{given}" + (f"{{{written(inner, below, names)}}}" if inner else "")
            )
    return " ".join(words) or "__typename"


def naive(kind, selected, fragments, variables, edges=None):
    """Return a cost by going through everything, again and again."""
    total = 0
    for one in selected:
        if one[0] == "spread":
            total += naive(kind, fragments[one[1]], fragments, variables, edges)
        elif one[0] == "inline":
            total += naive(kind, one[1], fragments, variables, edges)
        else:
            _, name, argument, below = one
            inner, weight, is_list, size, sliced, sizes = FIELDS[kind][name]
            if sliced:
                value = argument
                if argument == "$a":
                    value = variables.get("a", 2)
                elif argument == "$b":
                    value = variables.get("b", 4 if name == "users" else None)
                elif argument is None and name == "users":
                    value = 4
                size = value if value is not None and value >= 0 else size
            if name == "edges" and edges is not None:
                size = edges
            each = weight + (
                naive(inner, below, fragments, variables, size if sizes else None) if inner else 0
            )
            total += each * (size if is_list else 1)
    return total


@given(
    selections("Query", 4, 0),
    FRAGMENTS,
    st.dictionaries(st.sampled_from("ab"), st.sampled_from([None, 0, 1, 3, 10, -1])),
)
def test_a_cost_is_what_a_naive_expansion_comes_to(selected, fragments, variables):
    """For any document, with fragments in fragments, and variables with and without defaults."""
    names = count()
    text = f"query($a:Int=2 $b:Int){{{written('Query', selected, names)}}}" + "".join(
        f" fragment f{at} on {kind}{{{written(kind, fragments[at], names)}}}" for at, kind in enumerate(KINDS)
    )
    operation = next(iter(Document(text).operations.values()))
    assert cost_of(operation, variables, TABLE) == min(2**53, naive("Query", selected, fragments, variables))


def test_fragments_are_looked_at_once():
    """Each spreads the next one twice: expanded, this would be 2 to the power of 100 fields."""
    text = "{me{...f0}}" + "".join(
        f" fragment f{at} on User{{...f{at + 1} ...f{at + 1}}}" for at in range(100)
    )
    assert cost(text + " fragment f100 on User{name}") == 2**53
    text = "query($n:Int){me{...f0}}" + "".join(
        f" fragment f{at} on User{{friends(first:$n){{...f{at + 1} ...f{at + 1}}}}}" for at in range(40)
    )
    assert cost(text + " fragment f40 on User{name}", {"n": 1}) == 3 + sum(2**at for at in range(40)) + 2**40


# --- the step --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "passes"), [(None, True), (12, True), (11, False)])
@pytest.mark.parametrize("mode", ["enforce", "measure"])
def test_a_limit_is_held_or_measured(tmp_path, most, passes, mode):
    """And the cost is noted for those who count."""
    instance = plugin(tmp_path, SDL, cost={"max": most, "mode": mode})
    who = caller()
    found = examine(instance, "query($n:Int){users(first:$n){id}}", who, n=12)
    assert isinstance(found, Refused) == (not passes and mode == "enforce")
    assert who.graphql.cost == 12
    if isinstance(found, Refused):
        assert found.code == "LIMIT_EXCEEDED"
        assert found.extensions == {"limit": "cost", "maximum": 11, "found": 12}
    assert who.graphql.exceeded == (() if passes or mode == "enforce" else ("cost",))


def test_a_measured_cost_is_noted_once(tmp_path):
    """However many operations of one WebSocket are beyond it."""
    instance = plugin(tmp_path, SDL, cost={"max": 1, "mode": "measure"})
    who = caller()
    for _ in range(3):
        examine(instance, "{all{id}}", who)
    assert who.graphql.exceeded == ("cost",)


def test_costs_of_a_batch_add_up(tmp_path):
    """Each operation is held to the limit for itself."""
    instance = plugin(tmp_path, SDL, cost={"max": 12})
    who = caller()
    for _ in range(3):
        examine(instance, "{all{id}}", who)
    assert who.graphql.cost == 30


def test_what_cannot_be_told_is_refused_each_time(tmp_path):
    """Nothing is let through because it was seen before."""
    instance = plugin(tmp_path, SDL, cost={})
    for _ in range(2):
        found = examine(instance, "{strict{id}}")
        assert isinstance(found, Refused)
        assert found.code == "LIST_SIZE_UNCLEAR"


def test_strangers_in_the_configuration_are_refused(tmp_path):
    """A weight for what there is not would be one that does not count."""
    for config in ({"weights": {"User.nope": 1}}, {"list_sizes": {"Query.nope": {}}}):
        with pytest.raises(ValidationError, match="nope in the schema"):
            plugin(tmp_path, SDL, cost=config)
    with pytest.raises(ValidationError, match="pattern"):
        plugin(tmp_path, SDL, cost={"weights": {"User.*": 1}})
    with pytest.raises(ValidationError, match="cost needs schema_from"):
        GraphQL.Config(cost={})


def test_the_schema_is_one_that_servers_take():
    """The directives are those of the specification."""
    assert build_schema(
        'directive @cost(weight: String!) on FIELD_DEFINITION type Query { a: Int @cost(weight: "1") }'
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"data":{"a":1.50}}', b'{"data":{"a":1.50},"extensions":{"cost":{"requested":3}}}'),
        (b'{"data":1} \n', b'{"data":1,"extensions":{"cost":{"requested":3}}}'),
        (b"{}", b'{"extensions":{"cost":{"requested":3}}}'),
        (b'{"extensions":{"a":1}}', b'{"extensions":{"a":1,"cost":{"requested":3}}}'),
        (b'{"extensions":null}', b'{"extensions":{"cost":{"requested":3}}}'),
        (b'[{"data":1}]', b'[{"data":1}]'),
        (b"nonsense", b"nonsense"),
    ],
)
def test_a_cost_goes_into_the_extensions(body, expected):
    """And the rest of a response stays as it was written."""
    assert extended(body, {"requested": 3}) == expected
