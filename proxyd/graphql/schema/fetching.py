"""The schema asked of the backend by the gateway itself, at the start and then again and again.

While the backend does not answer, or answers with something else, the schema that was there stays. It is built in a
thread, as that takes a second for a large one, and put in by assignment.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from functools import partial
from typing import TYPE_CHECKING

import orjson
from graphql import get_introspection_query

from proxyd.errors import ProxydError
from proxyd.graphql.schema.known import SchemaError, from_introspection
from proxyd.graphql.schema.source import Schema
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.schemas import Freshness

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from graphql import GraphQLSchema

    from proxyd.carrier import Pipe
    from proxyd.exchange import Reply
    from proxyd.graphql.schema.source import Introspected
    from proxyd.http1.message import ResponseHead
    from proxyd.plugin import Kit, Scope

log = get_logger("graphql")

_OK = 200
_HOLDS = re.compile(rb'"__schema"\s*:')
_RETRY = 1.0  # seconds after a failure, doubled with each further one, up to the interval

# Older servers do not know of deprecated input; for those that do, what is deprecated is asked for, as it may be used.
_QUERIES = tuple(
    orjson.dumps({"query": query, "operationName": "IntrospectionQuery"})
    for query in (
        get_introspection_query(
            descriptions=False, directive_is_repeatable=True, input_value_deprecation=True, one_of=True
        ),
        get_introspection_query(
            descriptions=False, directive_is_repeatable=True, input_value_deprecation=True
        ),
        get_introspection_query(descriptions=False),
    )
)


class _FetchError(ProxydError):
    """The schema could not be had; the text goes to the log."""


class Fetching(Schema):
    """A schema that is kept fresh; ``state`` tells how that goes."""

    def __init__(
        self, config: Introspected, scope: Scope, kit: Kit, look: Callable[[GraphQLSchema], None]
    ) -> None:
        super().__init__()
        self.state = Freshness("")
        self._config = config
        self._scope = scope
        self._kit = kit
        self._look = look
        self._service = ""
        self._there: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._query = 0  # which of the queries the backend has understood
        self._outage = 0  # failures in a row

    # --- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to ask; needs a running loop."""
        if self._kit.caller is None or self._task is not None:
            return
        found = self._kit.caller.service_of(self._scope.route, self._scope.service)
        self._service, self.state.name = found or ("", "none")
        self._kit.schemas.kept.append(self.state)
        last = self._kit.schemas.remembered.get((self._service, self._config.path))
        if last is not None and self.take(last):
            self.state.digest = last.digest
        self._there = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._keep_fresh(), name=f"schema {self.state.name}")

    async def stop(self) -> None:
        """End it."""
        task, self._task = self._task, None
        if task is not None:
            self._kit.schemas.kept.remove(self.state)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def wait(self) -> None:
        """Wait for the first schema, as long as requests do."""
        if self.now is None and self._there is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.wait / 1000):
                    await self._there.wait()

    # --- asking ----------------------------------------------------------------------------------------------

    async def _keep_fresh(self) -> None:
        while True:
            delay = await self._round()
            await asyncio.sleep(delay)  # nothing but time is waited for

    async def _round(self) -> float:
        """Ask once; return the seconds until the next time."""
        interval = self._config.interval / 1000
        state = self.state
        try:
            text = await self._fetch()
            known = await asyncio.get_running_loop().run_in_executor(None, partial(from_introspection, text))
        except (_FetchError, SchemaError) as error:
            state.failed += 1
            state.failing = str(error)
            self._outage += 1
            if self._outage == 1:
                kept = "the schema that is known stays" if self.now else "requests are refused"
                log.warning(
                    "schema cannot be fetched", service=state.name, reason=str(error), until_then=kept
                )
            return min(_RETRY * 2.0 ** min(self._outage - 1, 16), interval)
        if self._outage:
            log.notice("schema is fetched again", service=state.name, failures=self._outage)
        self._outage = 0
        state.succeeded += 1
        state.failing = ""
        state.last_success = self._kit.clock.time()
        if self.take(known):
            self._look(known.graph)
            state.digest = known.digest
            self._kit.schemas.remember((self._service, self._config.path), known)
            state.changes += 1
            log.info("schema", service=state.name, digest=known.digest, types=len(known.graph.type_map))
        if self._there is not None:
            self._there.set()
        return interval * random.uniform(0.9, 1.1)  # noqa: S311  # spread over processes

    async def _fetch(self) -> bytes:
        """Return the answer; raises _FetchError."""
        for place in range(self._query, len(_QUERIES)):
            text = await self._ask(_QUERIES[place])
            if _HOLDS.search(text) or place == len(_QUERIES) - 1:
                self._query = place
                break
        return text

    async def _ask(self, body: bytes) -> bytes:
        config = self._config
        headers = Headers.of(
            [
                (b"Content-Type", b"application/json"),
                (b"Accept", b"application/graphql-response+json, application/json"),
                (b"Accept-Encoding", b"identity"),
                (b"User-Agent", b"proxyd"),
                *((name.encode(), value.encode()) for name, value in config.headers.items()),
            ]
        )
        request = RequestHead(
            "POST", config.path, config.path, "", 1, "", headers, len(body), keep_alive=True
        )
        assert self._kit.caller is not None  # noqa: S101  # or it would not have been started
        answer = _Answer(asyncio.get_running_loop().create_future(), config.max_size)
        try:
            call = self._kit.caller.ask(self._service, request, body, answer)
        except KeyError:
            raise _FetchError("no enabled route leads to the service") from None
        try:
            async with asyncio.timeout(config.timeout / 1000):
                return await answer.whole
        except TimeoutError:
            raise _FetchError(f"no answer in {config.timeout} ms") from None
        finally:
            call.cancel()


class _Answer:
    """Takes one answer; a ``carrier.Receiver``."""

    def __init__(self, whole: Future[bytes], limit: int) -> None:
        self.whole = whole
        self._limit = limit
        self._status = 0
        self._pieces: list[bytes] = []
        self._size = 0

    def _fail(self, reason: str) -> None:
        if not self.whole.done():
            self.whole.set_exception(_FetchError(reason))

    def head(self, head: ResponseHead) -> None:
        """Note the status."""
        self._status = head.status

    def data(self, data: bytes) -> None:
        """Collect, up to the limit."""
        self._size += len(data)
        if self._size > self._limit:
            self._pieces.clear()
            self._fail(f"its answer is larger than {self._limit} bytes")
        else:
            self._pieces.append(data)

    def end(self) -> None:
        """Hand the whole over; errors of GraphQL may come with 400."""
        if self._status not in {_OK, 400}:
            self._fail(f"it answers {self._status}")
        elif not self.whole.done():
            self.whole.set_result(b"".join(self._pieces))

    def failed(self, reply: Reply) -> None:
        """Hear that there is no answer."""
        self._fail(reply.message or f"no answer ({reply.status})")

    def switched(self, head: ResponseHead, pipe: Pipe) -> Pipe:
        """Never: no tunnel is asked for."""
        del head
        return pipe

    def writable(self, writable: bool) -> None:
        """The same."""
