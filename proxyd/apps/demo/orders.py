"""The demo backend's REST resource: orders, kept in memory, with their changes to listen to."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_ORDERS = 10_000  # the oldest one goes when there are more
MAX_QUANTITY = 1_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody ordered."""

    id: int
    item: str
    quantity: int = 1
    status: str = "open"


class Orders:
    """All orders. Methods raise KeyError for an unknown id and ValueError for a field that cannot be."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._orders: dict[int, Order] = {}
        self._listeners: set[asyncio.Queue[Order]] = set()
        for item, quantity in (("tea", 2), ("kettle", 1)):
            self.create({"item": item, "quantity": quantity})

    def __repr__(self) -> str:
        return f"<Orders {len(self._orders)} listeners={len(self._listeners)}>"

    def all(self, status: str | None = None) -> list[Order]:
        """Return every order, or those in one status, oldest first."""
        return [order for order in self._orders.values() if status in (None, order.status)]

    def get(self, order_id: int) -> Order:
        """Return one order."""
        return self._orders[order_id]

    def create(self, fields: dict[str, Any]) -> Order:
        """Add an order made of ``item``, ``quantity`` and ``status``."""
        if "item" not in fields:
            raise ValueError("item is required")
        return self._store(_checked(Order(id=next(self._ids), item=""), fields))

    def replace(self, order_id: int, fields: dict[str, Any]) -> Order:
        """Set every field of an order; those not given take their defaults."""
        self.get(order_id)
        if "item" not in fields:
            raise ValueError("item is required")
        return self._store(_checked(Order(id=order_id, item=""), fields))

    def update(self, order_id: int, fields: dict[str, Any]) -> Order:
        """Set the fields given."""
        return self._store(_checked(self.get(order_id), fields))

    def delete(self, order_id: int) -> None:
        """Take an order out."""
        del self._orders[order_id]

    async def changes(self) -> AsyncIterator[Order]:
        """Yield each order that is made or changed from now on."""
        queue: asyncio.Queue[Order] = asyncio.Queue(maxsize=1000)
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    def _store(self, order: Order) -> Order:
        self._orders[order.id] = order
        if len(self._orders) > MAX_ORDERS:
            del self._orders[next(iter(self._orders))]
        for queue in self._listeners:
            if not queue.full():  # a listener that does not read misses changes
                queue.put_nowait(order)
        return order


def _checked(order: Order, fields: dict[str, Any]) -> Order:
    """Return the order with these fields set."""
    if unknown := fields.keys() - {"item", "quantity", "status"}:
        raise ValueError(f"no such field: {', '.join(sorted(unknown))}")
    order = replace(order, **fields)
    if not isinstance(order.item, str) or not order.item:
        raise ValueError("item must be a text")
    if type(order.quantity) is not int or not 1 <= order.quantity <= MAX_QUANTITY:
        raise ValueError(f"quantity must be a whole number from 1 to {MAX_QUANTITY}")
    if order.status not in ("open", "shipped", "cancelled"):
        raise ValueError("status must be open, shipped or cancelled")
    return order


ORDERS = web.AppKey("orders", Orders)


class Collection(web.View):
    """``/orders``."""

    async def get(self) -> web.Response:
        """List the orders, ``?status=`` to choose."""
        found = self.request.app[ORDERS].all(self.request.query.get("status"))
        return web.json_response([asdict(order) for order in found])

    async def post(self) -> web.Response:
        """Make an order; 201 with its place."""
        order = _refusing(self.request.app[ORDERS].create, await _fields(self.request))
        location = {"Location": f"/orders/{order.id}"}
        return web.json_response(asdict(order), status=HTTPStatus.CREATED, headers=location)


class Single(web.View):
    """``/orders/{id}``."""

    @property
    def _orders(self) -> Orders:
        return self.request.app[ORDERS]

    @property
    def _id(self) -> int:
        return int(self.request.match_info["id"])

    async def get(self) -> web.Response:
        """Show one order."""
        return web.json_response(asdict(_refusing(self._orders.get, self._id)))

    async def put(self) -> web.Response:
        """Replace one."""
        fields = await _fields(self.request)
        return web.json_response(asdict(_refusing(self._orders.replace, self._id, fields)))

    async def patch(self) -> web.Response:
        """Change some of its fields."""
        fields = await _fields(self.request)
        return web.json_response(asdict(_refusing(self._orders.update, self._id, fields)))

    async def delete(self) -> web.Response:
        """Take it out."""
        _refusing(self._orders.delete, self._id)
        return web.Response(status=HTTPStatus.NO_CONTENT)


async def _fields(request: web.Request) -> dict[str, Any]:
    try:
        fields = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        fields = None
    if not isinstance(fields, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object")
    return fields


def _refusing(action: Any, *arguments: Any) -> Any:
    """Call an action of ``Orders``, its errors turned into 404 and 422."""
    try:
        return action(*arguments)
    except KeyError:
        raise web.HTTPNotFound(text="no such order") from None
    except ValueError as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from None


def add_to(app: web.Application) -> None:
    """Add the resource to an application."""
    app[ORDERS] = Orders()
    app.router.add_view("/orders", Collection)
    app.router.add_view("/orders/{id:[0-9]{1,18}}", Single)
