"""One configuration for all workers, in two steps: all prepare it, and then all take it over, or none does.

The first prepares it alone: what is wrong with a file costs one worker's time, and what ends a worker ends one. One that
hangs anyway is not the first, for its end says nothing of the file.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxyd.errors import ConfigError, Place, Problem
from proxyd.master.channel import ChannelError
from proxyd.master.child import problem_of
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxyd.master.child import Child

PREPARE_WAIT = 120.0  # seconds
COMMIT_WAIT = 30.0  # seconds
LOOK_WAIT = 1.0  # seconds that a worker has to answer, to be the first

log = get_logger("master")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the first worker told of a configuration that has been taken over."""

    routes: int = 0
    warnings: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


async def reload(
    children: Sequence[Child],
    number: int,
    text: str,
    decide: Callable[[], None],
    prepare_wait: float = PREPARE_WAIT,
) -> Outcome:
    """Have workers take ``text`` over; raises ConfigError where one cannot, and then none has.

    ``decide`` is called between the steps: whoever is started from then on runs it. Who dies before that was going to
    die anyway, but for the first; who does not follow afterwards is ended, and its successor follows.
    """
    if not children:
        decide()
        return Outcome()
    first, *others = await _awake_first(children)
    try:
        outcome = await _prepare(first, number, text, prepare_wait, alone=True)
        await asyncio.gather(*(_prepare(child, number, text, prepare_wait) for child in others))
    except BaseException:
        for child in children:
            child.tell("abort", number=number)
        raise
    decide()
    await asyncio.gather(*(_commit(child, number) for child in children))
    return outcome


async def _awake_first(children: Sequence[Child]) -> list[Child]:
    answers = await asyncio.gather(
        *(child.ask("ping", within=LOOK_WAIT) for child in children), return_exceptions=True
    )
    silent = {child for child, answer in zip(children, answers, strict=True) if not isinstance(answer, dict)}
    return sorted(children, key=lambda child: child in silent)


async def _prepare(child: Child, number: int, text: str, within: float, *, alone: bool = False) -> Outcome:
    try:
        answer = await child.ask("prepare", text.encode(), within=within, number=number)
    except ChannelError as error:
        if not child.leaving.is_set():
            raise _refusal(f"worker {child.slot} does not follow: {error}") from error
        if alone:
            raise _refusal(f"worker {child.slot} ended while it prepared it") from error
        return Outcome()
    if answer["problems"]:
        raise ConfigError([problem_of(one) for one in answer["problems"]])
    return Outcome(answer["routes"], answer["warnings"], answer["changed"])


async def _commit(child: Child, number: int) -> None:
    try:
        await child.ask("commit", within=COMMIT_WAIT, number=number)
    except ChannelError as error:
        if not child.leaving.is_set():
            reason = str(error)
            log.error("worker does not follow and is ended", worker=child.slot, reason=reason)  # noqa: TRY400
            child.hung = True
            await child.kill()


def _refusal(reason: str) -> ConfigError:
    return ConfigError([Problem(Place("configuration"), "", f"not loaded: {reason}")])
