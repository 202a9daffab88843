"""Documents of a safelist beside a schema: which of them it does not know any more.

Parsing and validating thousands of documents takes seconds. It is done in a thread, a document at a time, and with pauses that
leave the processor to requests.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, NamedTuple

from graphql import GraphQLError, GraphQLSyntaxError, parse, validate

from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphql import GraphQLSchema

log = get_logger("graphql")

PAUSE = 0.01  # seconds between two documents
_SHOWN = 20  # documents that are told of


class Invalid(NamedTuple):
    """A document that is not valid, and the first reason."""

    name: str
    message: str


def first_error(text: str, graph: GraphQLSchema) -> str:
    """Return what is wrong with a document, empty where nothing is."""
    try:
        errors = validate(graph, parse(text), max_errors=1)
    except GraphQLSyntaxError as error:
        return error.message
    except (GraphQLError, RecursionError) as error:
        return str(error) or "it is nested too deeply"
    return errors[0].message if errors else ""


def _check(
    documents: dict[str, str], graph: GraphQLSchema, given_up: threading.Event, pause: float
) -> list[Invalid]:
    found = []
    for name, text in documents.items():
        message = first_error(text, graph)
        if message:
            found.append(Invalid(name, message))
        if given_up.wait(pause):
            break
    return found


class Checking:
    """Checks a list, and starts anew whenever list or schema change."""

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._given_up = threading.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Checking {'done' if self._task is None or self._task.done() else 'under way'}>"

    def begin(self, documents: Iterable[tuple[str, str]], graph: GraphQLSchema) -> None:
        """Check these documents, by name; what was being checked is given up."""
        before = self._task
        self._given_up.set()
        self._given_up = threading.Event()
        self._task = asyncio.get_running_loop().create_task(
            self._run(dict(documents), graph, self._given_up, before)
        )

    async def stop(self) -> None:
        """Give up."""
        task, self._task = self._task, None
        self._given_up.set()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    async def _run(
        self,
        documents: dict[str, str],
        graph: GraphQLSchema,
        given_up: threading.Event,
        before: asyncio.Task[None] | None,
    ) -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        found = await asyncio.to_thread(_check, documents, graph, given_up, self._pause)
        if found and not given_up.is_set():
            log.warning(
                "documents of the safelist are not valid for the schema",
                count=len(found),
                of=len(documents),
                documents=[f"{one.name}: {one.message}" for one in found[:_SHOWN]],
            )
