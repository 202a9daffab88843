"""The gateway before a GraphQL backend: the same policies, with less and more of the plugin graphql behind them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.peers.policies import KEY, LOG, plugins
from benchmarks.peers.proxyd import ProxydPeer, one_route

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.peers.base import Certificate
    from benchmarks.process import Command

QUERY = (
    "query Orders($id: ID!, $first: Int!) { customer(id: $id) { id name orders(first: $first) "
    "{ id total { amount currency } items { sku name quantity } } } }"
)
# Written as JavaScript does, without spaces.
BODY = json.dumps(
    {"query": QUERY, "operationName": "Orders", "variables": {"id": "48213", "first": 20}},
    separators=(",", ":"),
)
HEADERS = {"apikey": KEY, "Content-Type": "application/json"}
SCHEMA = """
type Query { customer(id: ID!): Customer }
type Customer { id: ID! name: String! orders(first: Int!): [Order!]! }
type Order { id: ID! total: Money! items: [Item!]! }
type Money { amount: String! currency: String! }
type Item { sku: ID! name: String! quantity: Int! }
type Subscription { price: Price! }
type Price { sku: ID! amount: String! currency: String! at: String! }
"""


class GraphqlPeer(ProxydPeer):
    """One row: ``graphql`` with these parts of it, None for without it, behind the usual policies without cors."""

    def __init__(self, name: str, shown: str, *parts: str | None, policies: bool = True) -> None:
        self.name = name
        self.shown = shown
        self._parts = [part for part in parts if part]
        self._plugin = None not in parts
        self._policies = policies

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Write kong.json, and have the access log written to a file."""
        document = one_route(origin)
        document["plugins"] = []
        if self._policies:
            document["plugins"] += [one for one in plugins() if one["name"] != "cors"]
            document["consumers"] = [{"username": "bench", "keyauth_credentials": [{"key": KEY}]}]
        if self._plugin:
            document["plugins"].append({"name": "graphql", "config": configured(directory, self._parts)})
        made = self.command_for(directory, document, listen=listen, tls=tls)
        log = {"PROXYD_PROXY_ACCESS_LOG": str(directory / LOG)} if self._policies else {}
        return replace(made, env=made.env | log)


def configured(directory: Path, parts: Sequence[str]) -> dict[str, Any]:
    """Return the configuration of the plugin, and write the files that it names into ``directory``."""
    config: dict[str, Any] = {}
    if "safelist" in parts:
        manifest = directory / "manifest.json"
        digest = hashlib.sha256(QUERY.encode()).hexdigest()
        operation = {"id": digest, "name": "Orders", "type": "query", "body": QUERY}
        document = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation]}
        manifest.write_text(json.dumps(document), encoding="utf-8")
        config["safelist"] = {"manifests": [str(manifest)]}
    if "schema" in parts:
        schema = directory / "schema.graphql"
        schema.write_text(SCHEMA, encoding="utf-8")
        config |= {"schema_from": {"file": str(schema)}, "cost": {"max": 1000}}
    if "errors" in parts:
        config["errors"] = {"mask": True}
    if "shared" in parts:
        config["subscriptions"] = {
            "backend_protocol": "graphql-transport-ws",
            "shared": {"fields": ["price"]},
        }
    return config


REST = "REST"
GRAPHQL_PEERS = (
    GraphqlPeer("pass-through", "no plugin at all", None, policies=False),
    GraphqlPeer(REST, "the policies, without graphql", None),
    GraphqlPeer("limits", "and graphql with its limits and its metrics"),
    GraphqlPeer("safelist", "and a safelist that is enforced", "safelist"),
    GraphqlPeer("schema", "and validation and cost by a schema", "safelist", "schema"),
    GraphqlPeer("errors", "and masked errors, for which answers are read", "safelist", "schema", "errors"),
)
SUBSCRIBED = (
    GraphqlPeer("spliced", "no plugin: frames pass unread", None, policies=False),
    GraphqlPeer("graphql", "the plugin reads every message", policies=False),
    GraphqlPeer("shared", "the plugin, and one subscription upstream for all", "shared", policies=False),
)
HOSTILE = GraphqlPeer("proxyd", "no policy, graphql with its limits", policies=False)
