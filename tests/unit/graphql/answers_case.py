"""What tests of answers start from: an exchange whose operation is known."""

from __future__ import annotations

from proxyd.exchange import Client, Exchange, Operated
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.model.entities import Route


def asked(*fields, method="POST", kind="query", name="Users", route="api", **operated):
    """Make an exchange of a GraphQL request."""
    head = RequestHead(method, "/g", "/g", "", 1, "h", Headers.of(fields), 0, keep_alive=True)
    made = Exchange(head, Client("192.0.2.1", 4000, "http", 8000), 0.0)
    made.request_id = "r1"
    made.route = Route(id="1", name=route)
    if kind:
        made.graphql = Operated(name, kind, **operated)
    return made
