"""GraphQL requests that are meant to cost whoever reads them more than whoever sends them.

Each is a ``Flood``: the body of a POST, made when it is asked for, and the verdict that the gateway comes to under
``LIMITS``. Tests hold the plugin to it, and the bench measures what refusing each of them costs
(``bench.py --scenario graphql-hostile``). A new trick becomes a case here.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 60_000  # characters, a little less than the longest document has
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Flood:
    """One such request, and what it meets: a limit or the code of an error, one of several where either will do.

    Where it meets none it is carried; what counts then is that this costs little.
    """

    name: str
    make: Callable[[], bytes]
    meets: tuple[str, ...]

    @property
    def body(self) -> bytes:
        """A body whose text nobody has seen before, as far as it is JSON: caches do not help."""
        return self.make().replace(b'"query":"', b'"query":"#%d\\n' % next(_numbers), 1)


# --- what they are made of


def query(text: str, **members: Any) -> bytes:
    """Return the body that asks for ``text``."""
    return orjson.dumps({"query": text, **members})


def nested(opening: str, middle: str, closing: str, depth: int) -> str:
    return opening * depth + middle + closing * depth


def numbered(pattern: str, count: int) -> str:
    """Return ``pattern`` for each number, which stands where it says N."""
    return " ".join(pattern.replace("N", str(at)) for at in range(count))


def doubling(levels: int) -> str:
    """Return fragments of which each spreads the next one twice: the last is met 2**levels times."""
    fragments = [f"fragment F{at} on Query {{ ...F{at + 1} ...F{at + 1} }}" for at in range(levels)]
    return " ".join(["{ ...F0 }", *fragments, f"fragment F{levels} on Query {{ hello }}"])


def chained(links: int) -> str:
    """Return fragments of which each spreads the next one inside a field: flat to read, deep to execute."""
    fragments = [f"fragment F{at} on Product {{ related {{ ...F{at + 1} }} }}" for at in range(links)]
    return " ".join(["{ product(id: 1) { ...F0 } }", *fragments, f"fragment F{links} on Product {{ name }}"])


def circle(links: int) -> str:
    """Return fragments of which each spreads the next one, and the last the first."""
    fragments = [f"fragment F{at} on Query {{ ...F{(at + 1) % links} }}" for at in range(links)]
    return " ".join(["{ ...F0 }", *fragments])


def escaped(text: str) -> bytes:
    """Return the body that asks for ``text``, each of its characters as an escape of JSON's."""
    return b'{"query":"' + b"".join(b"\\u%04x" % ord(each) for each in text) + b'"}'


def batch(count: int, text: str = "{ hello }") -> bytes:
    return orjson.dumps([{"query": text}] * count)


def variables(text: bytes) -> bytes:
    """Return a body whose variables are these bytes."""
    return b'{"query":"query ($x: X) { hello(name: $x) }","variables":' + text + b"}"


# --- the codes of errors, and for limits which one it was

BAD, PARSE, INVALID = "BAD_REQUEST", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"
RESOLUTION, INTROSPECTION = "OPERATION_RESOLUTION_FAILURE", "INTROSPECTION_FORBIDDEN"
BODY_SIZE, SIZE, TOKENS, NESTING = "body_size", "document_size", "tokens", "nesting"
DEPTH, FIELDS, ROOTS, ALIASES, DIRECTIVES = "depth", "fields", "root_fields", "aliases", "directives"
OPERATIONS, BATCH, VARIABLES, IN_VARIABLES = "operations", "batch", "variables_size", "variables_nesting"

# The status of an answer by what it tells; 400 for all others.
STATUSES = {BODY_SIZE: 413, INTROSPECTION: 403}
# The configuration of the plugin under which the verdicts hold: its own limits, and no introspection.
LIMITS: dict[str, Any] = {}

DEEP = (
    Flood("fields", lambda: query(nested("{a", "", "}", 900)), (NESTING,)),
    Flood("fields within the brackets allowed", lambda: query(nested("{a", "", "}", 40)), (DEPTH,)),
    Flood("fields beyond any stack", lambda: query(nested("{a", "", "}", 200_000)), (SIZE,)),
    Flood("fields never closed", lambda: query("{a" * 30_000), (NESTING, TOKENS)),
    Flood("inline fragments", lambda: query(nested("{...", "{a}", "}", 600)), (NESTING,)),
    Flood("lists", lambda: query(f"{{a(x:{nested('[', '', ']', 900)})}}"), (NESTING,)),
    Flood("lists never closed", lambda: query("{a(x:" + "[" * 60_000), (NESTING, TOKENS)),
    Flood("objects", lambda: query(f"{{a(x:{nested('{a:', '1', '}', 600)})}}"), (NESTING,)),
    Flood("types", lambda: query(f"query($a:{nested('[', 'Int', ']', 900)}){{a}}"), (NESTING,)),
    Flood("a default", lambda: query(f"query($a:A={nested('[', '', ']', 900)}){{a}}"), (NESTING,)),
    Flood("fragments", lambda: query(chained(100)), (DEPTH, NESTING)),
)
WIDE = (
    Flood("fields", lambda: query("{" + "a " * 30_000 + "}"), (TOKENS,)),
    Flood("root fields", lambda: query("{" + "hello " * 900 + "}"), (ROOTS,)),
    Flood("fields below", lambda: query("{a{" + "b " * 1900 + "}}"), (FIELDS,)),
    Flood("aliases", lambda: query("{product{" + numbered("aN:name", 600) + "}}"), (ALIASES,)),
    Flood("aliases at the root", lambda: query("{" + numbered("aN:hello", 600) + "}"), (ALIASES, ROOTS)),
    Flood(
        "aliases in a fragment",
        lambda: query("{...F} fragment F on Query{" + numbered("aN:b", 600) + "}"),
        (ALIASES, ROOTS),
    ),
    Flood("mutations", lambda: query("mutation{" + numbered("aN:rename", 600) + "}"), (ALIASES, ROOTS)),
    Flood("directives", lambda: query("{hello" + "@a" * 900 + "}"), (DIRECTIVES,)),
    Flood(
        "directives that hold", lambda: query("{hello" + "@skip(if:false)" * 300 + "}"), (DIRECTIVES, TOKENS)
    ),
    Flood("directives of the operation", lambda: query("query" + "@a" * 900 + "{hello}"), (DIRECTIVES,)),
    Flood("operations", lambda: query(numbered("query QN{hello}", 300), operationName="Q7"), (OPERATIONS,)),
    Flood("arguments", lambda: query("{hello(" + numbered("aN:1", 600) + ")}"), ()),
    Flood("variables declared", lambda: query("query(" + numbered("$aN:Int", 480) + "){hello}"), ()),
)
FRAGMENTS = (
    Flood("a circle of one", lambda: query(circle(1)), (INVALID,)),
    Flood("a circle of two", lambda: query(circle(2)), (INVALID,)),
    Flood("a circle of two hundred", lambda: query(circle(200)), (INVALID,)),
    Flood("a circle beside the way", lambda: query("{hello} fragment A on B{...A}"), (INVALID,)),
    Flood("doubled thirty times", lambda: query(doubling(30)), (ROOTS, FIELDS, NESTING)),
    Flood("doubled a hundred times", lambda: query(doubling(100)), (ROOTS, FIELDS, NESTING)),
    Flood(
        "spread again and again",
        lambda: query("{" + "...F " * 450 + "} fragment F on Query{" + "a " * 450 + "}"),
        (ROOTS, FIELDS),
    ),
    Flood("one that is not there", lambda: query("{...F}"), (INVALID,)),
    Flood("many", lambda: query("{...F1}" + numbered("fragment FN on Query{hello}", 280)), ()),
)
TEXTS = (
    Flood("a name", lambda: query("{" + "a" * LONG + "}"), ()),
    Flood("a string", lambda: query('{hello(name:"' + "a" * LONG + '")}'), ()),
    Flood("a string of a megabyte", lambda: query('{hello(name:"' + "a" * 1_000_000 + '")}'), (SIZE,)),
    Flood("a string never closed", lambda: query('{hello(name:"' + "a" * LONG), (PARSE,)),
    Flood("strings never closed", lambda: query('{hello(name:"' + '\\"' * (LONG // 2)), (PARSE,)),
    Flood("a block string", lambda: query('{hello(name:"""' + " a\n" * (LONG // 3) + '""")}'), ()),
    Flood("a block string never closed", lambda: query('{hello(name:"""' + '\\"""' * (LONG // 4)), (PARSE,)),
    Flood("quotes in a block string", lambda: query('{hello(name:"""' + '"" ' * (LONG // 3) + '""")}'), ()),
    Flood("a number", lambda: query("{hello(name:" + "1" * LONG + ")}"), ()),
    Flood("a comment", lambda: query("{hello}#" + "a" * LONG), ()),
    Flood("comments", lambda: query("{hello}" + "#\n" * (LONG // 2)), (TOKENS,)),
    Flood("commas", lambda: query("{" + "," * LONG + "hello}"), ()),
    Flood("bad characters", lambda: query("{" + "\x00" * LONG + "}"), (PARSE, TOKENS)),
    Flood("four bytes a character", lambda: query('{hello(name:"' + "\U0001f375" * LONG + '")}'), ()),
    Flood("an operation's name", lambda: query("{hello}", operationName="a" * 900_000), (RESOLUTION,)),
)
BODIES = (
    Flood("ten megabytes of a document", lambda: query("{" + "hello " * 1_700_000 + "}"), (BODY_SIZE,)),
    Flood(
        "ten megabytes of variables", lambda: variables(b'{"x":"' + b"a" * 10_000_000 + b'"}'), (BODY_SIZE,)
    ),
    Flood(
        "variables beyond any stack",
        lambda: variables(b'{"x":' + b"[" * 400_000 + b"]" * 400_000 + b"}"),
        (BAD,),
    ),
    Flood("variables nested", lambda: variables(b'{"x":' + b"[" * 100 + b"]" * 100 + b"}"), (IN_VARIABLES,)),
    Flood("variables nested deeply", lambda: variables(b'{"x":' + b"[" * 900 + b"]" * 900 + b"}"), (BAD,)),
    Flood(
        "variables",
        lambda: variables(b"{" + b",".join(b'"a%d":1' % at for at in range(60_000)) + b"}"),
        (VARIABLES,),
    ),
    Flood("no JSON", lambda: b"{" * 1_000_000, (BAD,)),
    Flood("no UTF-8", lambda: b'{"query":"{hello(name:\\"\xff\\")}"}', (BAD,)),
    Flood("half a character", lambda: b'{"query":"{hello(name:\\"\\ud800\\")}"}', (BAD,)),
    Flood("a list as deep as it is long", lambda: b"[" * 400_000 + b"]" * 400_000, (BAD,)),
    Flood("a number beyond any", lambda: variables(b'{"x":' + b"9" * 900_000 + b"}"), (BAD, VARIABLES)),
    Flood(
        "members that mean nothing", lambda: query("{hello}", **{f"a{at}": at for at in range(60_000)}), ()
    ),
)
BATCHES = (
    Flood("two", lambda: batch(2), (BATCH,)),
    Flood("thirty thousand", lambda: batch(30_000), (BATCH,)),
    Flood("of nothing", lambda: b"[" + b"0," * 400_000 + b"0]", (BATCH, BAD)),
    Flood("of batches", lambda: b"[" + b"[]," * 300_000 + b"[]]", (BATCH, BAD)),
    Flood("with introspection in it", lambda: batch(2, '{ __type(name: "Query") { name } }'), (BATCH,)),
)
SCHEMA = "__schema { types { name } }"
INTROSPECTIONS = (
    Flood("plain", lambda: query(f"{{ {SCHEMA} }}"), (INTROSPECTION,)),
    Flood("by type", lambda: query('{ __type(name: "Query") { name } }'), (INTROSPECTION,)),
    Flood("aliased", lambda: query(f"{{ hello: {SCHEMA} }}"), (INTROSPECTION,)),
    Flood(
        "in a fragment",
        lambda: query(f"{{ ...F }} fragment F on Query {{ ...G }} fragment G on Query {{ {SCHEMA} }}"),
        (INTROSPECTION,),
    ),
    Flood(
        "in an inline fragment",
        lambda: query(f"{{ ... {{ ... on Query {{ {SCHEMA} }} }} }}"),
        (INTROSPECTION,),
    ),
    Flood(
        "behind a directive",
        lambda: query(
            f"query($a: Boolean!) {{ ... @include(if: $a) {{ {SCHEMA} }} }}", variables={"a": True}
        ),
        (INTROSPECTION,),
    ),
    Flood("behind a mark of order", lambda: query(f"\ufeff{{\ufeff,,,{SCHEMA} }}"), (INTROSPECTION,)),
    Flood(
        "behind comments",
        lambda: query(f"{{#}}\n,,\t{SCHEMA.replace(' ', '#{ ' + chr(10))} }}"),
        (INTROSPECTION,),
    ),
    Flood("escaped", lambda: escaped(f"{{ {SCHEMA} }}"), (INTROSPECTION,)),
    Flood(
        "in the other operation",
        lambda: query(f"query A {{ hello }} query B {{ {SCHEMA} }}", operationName="B"),
        (INTROSPECTION,),
    ),
    Flood("beside what is allowed", lambda: query(f"{{ __typename hello {SCHEMA} }}"), (INTROSPECTION,)),
    Flood("in a subscription", lambda: query(f"subscription {{ {SCHEMA} }}"), (INTROSPECTION, INVALID)),
    Flood(
        "of itself, again and again",
        lambda: query("{__schema" + nested("{types{fields{type", "{name}", "}}}", 12) + "}"),
        (INTROSPECTION, NESTING, DEPTH),
    ),
)

FLOODS = {
    f"{kind}: {flood.name}": flood
    for kind, floods in (
        ("deep", DEEP),
        ("wide", WIDE),
        ("fragments", FRAGMENTS),
        ("texts", TEXTS),
        ("bodies", BODIES),
        ("batches", BATCHES),
        ("introspection", INTROSPECTIONS),
    )
    for flood in floods
}
