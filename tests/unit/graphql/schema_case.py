"""A schema, and operations examined against it as the plugin would."""

from __future__ import annotations

from plugin_case import exchange, kit, make

from proxyd.exchange import Operated
from proxyd.graphql.refusal import Refused
from proxyd.graphql.request import Asked
from proxyd.identity import identify
from proxyd.plugins.graphql import GraphQL

SDL = """
    type Query {
        me: User
        user(id: ID!, filter: Filter): User
        users(first: Int, after: String, filter: Filter): [User!]!
        node(id: ID!): Node
        actor: Actor
        search(text: String!): [Result!]!
        secret: Secret
        status: Status
        ssn: SSN
    }
    type Mutation { login(name: String!): User  remove(id: ID!, reason: Reason): Boolean }
    type Subscription { changed(status: Status): User }
    interface Node { id: ID! }
    interface Actor implements Node { id: ID! email: String }
    type User implements Node & Actor { id: ID! email: String name: String friends(first: Int): [User!]! posts: [Post!]! }
    type Bot implements Node & Actor { id: ID! email: String owner: User }
    type Post implements Node { id: ID! title: String author: User }
    type Secret implements Node { id: ID! code: String }
    union Result = User | Post | Secret
    input Filter { name: String secret: String status: Status and: [Filter!] }
    input Reason { text: String }
    enum Status { OPEN CLOSED HIDDEN }
    scalar SSN
"""


def plugin(tmp_path, sdl=SDL, *, consumers=(), **config):
    """Make an instance with a schema in a file."""
    file = tmp_path / "schema.graphql"
    file.write_text(sdl)
    return make(GraphQL, kit(*consumers), schema_from={"file": str(file)}, **config)


def caller(*groups, anonymous=False):
    """Make an exchange of somebody in these groups; of nobody known, where there are none and it is to be so."""
    made = exchange(method="POST")
    identify(made, None)
    if not anonymous:
        made.groups = groups
    made.graphql = Operated()
    return made


def examine(instance, query, who=None, **variables):
    """Return the operation, or the refusal."""
    asked = Asked({"query": query, "variables": variables})
    try:
        return instance._examiner.examine(who or caller(), asked)
    except Refused as refused:
        return refused
