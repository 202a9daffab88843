"""Identical subscriptions of public data share one at the backend: each result comes once, and goes to all who wait for it.

The upstream's side is a ``Feed``, which the gateway asks for itself: nobody's credentials are sent, so that nobody is shown
what only another may see. Each client is a ``Member`` of it, and hears what comes from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import orjson
from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode
from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.graphql.request import Asked
from proxyd.graphql.steps import Step
from proxyd.graphql.subscriptions.feed import Feed, Member
from proxyd.model.grammar import HeaderName  # a field's type

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql import OperationDefinitionNode, SelectionSetNode

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Document, Operation
    from proxyd.graphql.subscriptions.feed import Key
    from proxyd.graphql.subscriptions.source import Holder, Listener, Source

    Making = Callable[[Exchange, tuple[bytes, ...]], Callable[[Holder], Source]]
    """How a source is made that sends nothing of a client's but these headers, which all who share it have in common."""

NOTE = "shared"  # of operations that are public
SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})


class Sharing(plugin.Config):
    """Which subscriptions are of public data, and how they are shared."""

    fields: tuple[str, ...] = ()
    """Fields of the subscription type, such as `newsAdded`, that show everybody the same: subscriptions of these alone are shared. The backend is asked without any client's credentials."""
    operations: tuple[str, ...] = ()
    """The same by the names of operations; names are the clients' to choose, unless a safelist says what each may ask."""
    vary: tuple[HeaderName, ...] = ()
    """Headers of the client that the backend is sent, and that have to be the same for a subscription to be shared; none that says who asks."""
    buffer: int = Field(100, ge=1)
    """Results that wait for a client that is slow."""
    overflow: Literal["disconnect", "drop_oldest"] = "disconnect"
    """What becomes of a client for whom more would have to wait: its subscription ends with an error, or it misses the oldest of them."""
    grace: float = Field(5.0, ge=0)
    """Seconds that a subscription without clients is kept at the backend."""
    reconnects: int = Field(5, ge=0)
    """Times in a row that a backend that went away is asked again, after times that double; what it tells meanwhile is missed."""
    max_subscriptions: int = Field(1000, ge=1)
    """Different subscriptions that are shared at a time, for each process; further ones are not."""

    @property
    def on(self) -> bool:
        """Whether anything is shared."""
        return bool(self.fields or self.operations)

    @model_validator(mode="after")
    def _varies_by_nobody(self) -> Self:
        for name in self.vary:
            if name.lower() in SECRET:
                raise ValueError(f"vary must not have {name}: what is sent with it is not public")
        return self


class Shares:
    """What is shared in this process; one per plugin instance."""

    def __init__(self, config: Sharing, making: Making, key: Callable[[Exchange], Key]) -> None:
        self.config = config
        self.stopped = False
        self._making = making
        self._key = key  # what tells backends apart
        fields = frozenset(name.removeprefix("Subscription.") for name in config.fields)
        self.steps: list[Step] = [Public(fields)] if fields else []
        self._operations = frozenset(config.operations)
        self._vary = tuple(name.lower().encode() for name in config.vary)
        self._feeds: dict[Key, Feed] = {}

    def __repr__(self) -> str:
        return f"<Shares feeds={len(self._feeds)}>"

    def shares(self, operation: Operation) -> bool:
        """Tell whether an operation is declared public."""
        if operation.type != "subscription":
            return False
        return NOTE in operation.notes or operation.name in self._operations

    def join(
        self,
        exchange: Exchange,
        asked: Asked,
        operation: Operation,
        listener: Listener,
        circle: set[Member],
    ) -> Member | None:
        """Make a client a member of the feed of what it asks for; None where there is no room for another feed.

        The member is in ``circle`` while it hears anything.
        """
        headers = exchange.headers
        key = (
            self._key(exchange),
            operation.document.digest,
            operation.name,
            orjson.dumps(asked.variables, option=orjson.OPT_SORT_KEYS),
            *(headers.get(name) for name in self._vary),
        )
        feed = self._feeds.get(key)
        if feed is None:
            if len(self._feeds) >= self.config.max_subscriptions or self.stopped:
                return None
            members = {
                "query": operation.document.text,
                "operationName": asked.name,
                "variables": asked.variables,
            }
            make = self._making(exchange, self._vary)
            self._feeds[key] = feed = Feed(self, key, make, Asked(members), operation)
        member = Member(feed, listener, circle)
        feed.join(member)
        return member

    def forget(self, key: Key) -> None:
        """Hear that a feed is over."""
        self._feeds.pop(key, None)

    def stop(self) -> None:
        """Keep no feed that has no members, from now on: those that have some go on until they are lost."""
        self.stopped = True
        for feed in tuple(self._feeds.values()):
            feed.settle()


class Public(Step):
    """Notes which operations are of fields that are declared public."""

    def __init__(self, fields: frozenset[str]) -> None:
        self._fields = fields

    def learn(self, document: Document) -> None:
        """Look at the roots of its subscriptions."""
        for operation in document.operations.values():
            root = operation.node if operation.type == "subscription" else None
            if root is not None and _root_fields(root, document) <= self._fields:
                operation.notes[NOTE] = True


def _root_fields(root: OperationDefinitionNode, document: Document) -> set[str]:
    """Return the names of an operation's fields at its root, those in fragments included."""
    fragments = document.fragments
    names: set[str] = set()
    seen: set[str] = set()
    ahead: list[SelectionSetNode] = [root.selection_set]
    while ahead:
        for node in ahead.pop().selections:
            if isinstance(node, FieldNode):
                names.add(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                ahead.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                fragment = fragments.get(node.name.value)
                if fragment is not None:
                    ahead.append(fragment.selection_set)
    return names
