"""How a GraphQL request comes in by HTTP: looked at, read, and its operations examined, before it goes to the backend.

The way of a request whose body is there and whose document is known has no task, no wait and few calls.
"""

from __future__ import annotations

from asyncio import gather, wait
from typing import TYPE_CHECKING, Final

from proxyd.errors import ProtocolError
from proxyd.exchange import Operated, Reply
from proxyd.graphql.front import JSON_BODY, MULTIPART, QUERY, UPLOAD
from proxyd.graphql.limits import MOST_BATCHED, MOST_BYTES
from proxyd.graphql.refusal import Refused, beyond, refuse, refuse_batch
from proxyd.graphql.request import Asked, read_body, read_query, write_body, write_query
from proxyd.graphql.upload import read_upload, write_upload

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable, Callable

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.graphql.examiner import Examiner
    from proxyd.graphql.front import Front
    from proxyd.graphql.limits import Limits

    Carry = Callable[[Exchange, Asked, Operation], None]
    """Decides how an operation is carried, if not as any request."""
    Upgrade = Callable[[Exchange], Reply | None]
    """What becomes of a WebSocket."""

TOO_LARGE: Final = 413
_WITH_BODY: Final = frozenset({JSON_BODY, UPLOAD})


class Entry:
    """The phase ``access`` of graphql; one per plugin instance."""

    def __init__(
        self, front: Front, examiner: Examiner, limits: Limits, max_upload: int, upgrade: Upgrade
    ) -> None:
        self.examiner = examiner
        self._upgrade = upgrade
        self.carry: Carry | None = None  # told of each operation that was examined, alone
        self._front = front
        self._max_body = limits.enforced("body_size", MOST_BYTES)
        self._max_upload = max_upload
        self._max_batch = limits.enforced("batch", MOST_BATCHED)
        self._body_limit = limits.max_body_size  # what is told of beyond, where it is only measured
        self._batch_limit = limits.max_batch  # the same

    def __repr__(self) -> str:
        return f"<Entry {self.examiner!r}>"

    def access(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Examine what is asked; only what has not come yet is waited for."""
        if exchange.request.upgrade:
            return self._upgrade(exchange)
        try:
            return self._take(exchange)
        except Refused as refused:
            return refuse(exchange, refused)

    def _take(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        kind = self._front.look(exchange)
        if kind in _WITH_BODY:
            most = self._max_body if kind == JSON_BODY else self._max_upload
            body = exchange.buffered
            if body is None and exchange.body is not None:
                if exchange.request.framing > most:
                    raise _too_large(exchange, most)
                coming = exchange.body.read(most)
                if not coming.done():
                    return self._wait(exchange, coming, kind, most)
                body = self._body(exchange, coming, most)
            return self._examine(exchange, self._read(exchange, body or b"", kind))
        if kind == QUERY:
            return self._examine(exchange, read_query(exchange.request.query[1:]))
        return None

    async def _wait(self, exchange: Exchange, coming: Future[bytes], kind: str, most: int) -> Reply | None:
        """Wait for the rest of a body."""
        try:
            await wait([coming])
            body = self._body(exchange, coming, most)
            found = self._examine(exchange, self._read(exchange, body, kind))
        except Refused as refused:
            return refuse(exchange, refused)
        return found if found is None or isinstance(found, Reply) else await found

    @staticmethod
    def _body(exchange: Exchange, coming: Future[bytes], most: int) -> bytes:
        """Return a body that is there; raises Refused where it is too large, and what else may be wrong with it."""
        try:
            return coming.result()
        except ProtocolError as error:
            if error.status != TOO_LARGE or exchange.bytes_received <= most:
                raise  # client_max_body_size among it
            raise _too_large(exchange, most) from None

    def _read(self, exchange: Exchange, body: bytes, kind: str) -> Asked | list[Asked]:
        if kind == JSON_BODY:
            if len(body) > self._body_limit:
                exchange.graphql = Operated(count=0, exceeded=("body_size",))
            return read_body(body)
        return read_upload(exchange.headers.get(b"content-type") or b"", body)

    def _examine(
        self, exchange: Exchange, asked: Asked | list[Asked]
    ) -> Reply | Awaitable[Reply | None] | None:
        """Find the documents, and examine what is asked for; raises Refused."""
        if isinstance(asked, list):
            return self._examine_batch(exchange, asked)
        waiting = self.examiner.resolve(exchange, asked)
        if waiting is not None:
            return self._examine_later(exchange, asked, [waiting])
        self._examine_one(exchange, asked)
        return None

    def _examine_one(self, exchange: Exchange, asked: Asked) -> None:
        operation = self.examiner.examine(exchange, asked)
        if asked.rewritten:
            _rewrite(exchange, asked)
        if operation.type == "mutation" and exchange.request.method != "POST":
            raise self._front.not_allowed("Mutations are asked for by POST", b"POST")
        if self.carry is not None:
            self.carry(exchange, asked, operation)

    def _examine_batch(
        self, exchange: Exchange, asked: list[Asked]
    ) -> Reply | Awaitable[Reply | None] | None:
        if not asked:
            raise Refused(400, "BAD_REQUEST", "The batch is empty", well_formed=False)
        if len(asked) > self._max_batch:
            raise beyond("batch", self._max_batch, len(asked))
        if len(asked) > self._batch_limit:
            exchange.graphql = exchange.graphql or Operated(count=0)
            exchange.graphql.exceed("batch")
        resolve = self.examiner.resolve
        waiting = [elsewhere for one in asked if (elsewhere := resolve(exchange, one)) is not None]
        return (
            self._examine_later(exchange, asked, waiting) if waiting else self._examine_all(exchange, asked)
        )

    def _examine_all(self, exchange: Exchange, asked: list[Asked]) -> Reply | None:
        """Examine a batch, of which all are carried or none."""
        refusals: list[Refused | None] = []
        for one in asked:
            try:
                self.examiner.examine(exchange, one)
                refusals.append(None)
            except Refused as refused:
                refusals.append(refused)
        if any(refusals):
            return refuse_batch(exchange, refusals)
        if any(one.rewritten for one in asked):
            _rewrite(exchange, asked)
        return None

    async def _examine_later(
        self, exchange: Exchange, asked: Asked | list[Asked], waiting: list[Future[None]]
    ) -> Reply | None:
        """Wait for documents that are kept elsewhere."""
        await gather(*waiting)
        if isinstance(asked, list):
            return self._examine_all(exchange, asked)
        try:
            self._examine_one(exchange, asked)
        except Refused as refused:
            return refuse(exchange, refused)
        return None


def _rewrite(exchange: Exchange, asked: Asked | list[Asked]) -> None:
    """Have the backend asked for documents that the client has only named."""
    if exchange.buffered is None:
        assert isinstance(asked, Asked)  # noqa: S101  # a batch has a body
        exchange.request.query = f"?{write_query(asked)}"
        return
    content_type = exchange.headers.get(b"content-type") or b""
    if content_type[: len(MULTIPART)].lower() == MULTIPART:
        exchange.buffered = write_upload(content_type, exchange.buffered, asked)
    else:
        exchange.buffered = write_body(asked)


def _too_large(exchange: Exchange, most: int) -> Refused:
    found = max(exchange.request.framing, exchange.bytes_received, most + 1)
    return beyond("body_size", most, found, status=TOO_LARGE)
