"""Counters in Redis or Valkey, which several machines share; redis-py is what speaks to it.

A request is one call of a script, which checks and counts in all its windows: Redis runs one at a time. What many
requests ask at the same moment goes out together, over ``LANES`` connections. The windows are those of Redis's clock,
so that gateways whose clocks differ mean the same minute.

No request waits longer than the endpoint's timeout. Once that has passed in vain, or a connection fails, Redis is away:
nobody waits any more, everybody is told at once (CountersAway), and a probe asks every ``PAUSE`` seconds. What failed is
not asked again, as it may have been counted. All that an outage says in the log is its beginning and its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import NoScriptError, RedisError

from proxyd.store.counters import CountersAway, Taken, Window
from proxyd.store.redis_client import close_client, make_client
from proxyd.store.windows import LENGTHS, PERIODS, bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxyd.model.redis import Redis

LANES = 2  # batches under way
BATCH = 256  # requests in one
SPREAD = 32  # of a batch, at the same time over the nodes of a Cluster: each call takes a connection
QUEUE = 10_000  # requests that wait, at most
PAUSE = 0.5  # seconds between two probes
PROBE_TIMEOUT = 1.0  # seconds

# One caller's counters are one hash: of each period the start and end of its window, the count in it, and the count in
# the one before. A counter never goes back to an earlier window. ARGV: whether windows slide, how much to count, whether
# to do so in any case; and of each window its period, limit, length in seconds and, where that is 0 because months
# differ, four boundaries around now.
SCRIPT = """
local time = redis.call('TIME')
local second = tonumber(time[1])
local now = second + tonumber(time[2]) / 1000000
local sliding, amount, room = ARGV[1] == '1', tonumber(ARGV[2]), true
local names = {}
for at = 4, #ARGV, 7 do
  for _, field in ipairs({'s', 'e', 'n', 'b'}) do names[#names + 1] = ARGV[at] .. field end
end
local stored = redis.call('HMGET', KEYS[1], unpack(names))
local answer, written, last = {1, math.floor(now * 1000)}, {}, 0
for at = 4, #ARGV, 7 do
  local period, limit, length = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local first, second_, third = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local starts, ends
  if length > 0 then
    starts = second - second % length
    ends = starts + length
  elseif now < second_ then starts, ends = first, second_
  elseif now < third then starts, ends = second_, third
  else starts, ends = third, tonumber(ARGV[at + 6]) end
  local held = (at - 4) / 7 * 4
  local before, count = 0, 0
  local there = tonumber(stored[held + 1] or nil)
  if there and there >= starts then
    starts, ends = there, tonumber(stored[held + 2])
    count, before = tonumber(stored[held + 3]), tonumber(stored[held + 4])
  elseif there and tonumber(stored[held + 2]) == starts then
    before = tonumber(stored[held + 3])
  end
  local used = count
  if sliding then
    used = used + math.floor(before * math.min(1, math.max(0, (ends - now) / (ends - starts))))
  end
  if used >= limit then room = false end
  for _, value in ipairs({count, before, starts, ends}) do answer[#answer + 1] = value end
  for field, value in pairs({s = starts, e = ends, n = count + amount, b = before}) do
    written[#written + 1] = period .. field
    written[#written + 1] = string.format('%d', value)
  end
  last = math.max(last, sliding and 2 * ends - starts or ends)
end
if room or ARGV[3] == '1' then
  redis.call('HSET', KEYS[1], unpack(written))
  redis.call('EXPIREAT', KEYS[1], last + 60)
else
  answer[1] = 0
end
return answer
"""
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Asked(NamedTuple):
    """One command: its words, when its time is up, and where the answer goes."""

    command: tuple[Any, ...]
    deadline: float
    answer: asyncio.Future[Any]


class RedisCounters:
    """Counts at one endpoint. ``tell`` hears of an outage, with the reason, and of its end, with nothing."""

    def __init__(self, endpoint: Redis, tell: Callable[[str], None], authorities: str | None = None) -> None:
        self.away = False
        self._endpoint = endpoint
        self._tell = tell
        self._client = make_client(endpoint, authorities)
        self._queue: list[Asked] = []
        self._lanes: set[asyncio.Task[None]] = set()
        self._probe: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return (
            f"<RedisCounters {self._endpoint} {'away' if self.away else 'there'} waiting={len(self._queue)}>"
        )

    # --- counting --------------------------------------------------------------------------------------------

    async def take(
        self, key: bytes, windows: Sequence[Window], amount: int = 1
    ) -> tuple[tuple[Window, ...], Taken, float]:
        """Count in all windows, or in none; returns the windows and the time by Redis's clock too.

        Raises CountersAway, at the latest when the timeout has passed.
        """
        answer: list[int] = await self._count(key, windows, amount, force=False)
        moved: list[Window] = []
        counts: list[tuple[int, int]] = []
        for place, window in enumerate(windows):
            count, before, start, end = answer[2 + 4 * place : 6 + 4 * place]
            moved.append(window._replace(start=start, end=end))
            counts.append((count, before))
        return tuple(moved), (bool(answer[0]), tuple(counts)), answer[1] / 1000

    def add(self, key: bytes, windows: Sequence[Window], amount: int) -> asyncio.Future[list[int]]:
        """Count ``amount`` more, whatever the limit; raises CountersAway, as may the future, for which nobody must wait."""
        future = self._count(key, windows, amount, force=True)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    def _count(
        self, key: bytes, windows: Sequence[Window], amount: int, *, force: bool
    ) -> asyncio.Future[Any]:
        sliding, *rest = _arguments(tuple(windows))
        return self.ask("EVALSHA", SHA, 1, _name(key), sliding, amount, int(force), *rest)

    def ask(self, *command: Any) -> asyncio.Future[Any]:
        """Send any command, among those that count; raises CountersAway, as may the future."""
        if self.away or len(self._queue) >= QUEUE:
            raise CountersAway(f"{self._endpoint} is away")
        loop = asyncio.get_running_loop()
        asked = Asked(command, loop.time() + self._endpoint.patience, loop.create_future())
        self._queue.append(asked)
        if len(self._lanes) < LANES:
            lane = loop.create_task(self._work_off())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return asked.answer

    async def _work_off(self) -> None:
        """Send what waits, a batch at a time, until nothing does."""
        while self._queue:
            batch = [
                asked for asked in self._queue[:BATCH] if not asked.answer.done()
            ]  # or nobody waits for it
            del self._queue[:BATCH]
            if not batch:
                continue
            try:
                async with asyncio.timeout_at(batch[0].deadline):
                    answers = await self._send(batch)
            except TimeoutError:
                self._lost("no answer in time", batch)
                return
            except (RedisError, OSError) as error:
                self._lost(f"{type(error).__name__}: {error}", batch)
                return
            except BaseException:
                _give_up(batch, "stopped")
                raise
            for asked, answer in zip(batch, answers, strict=True):
                if not asked.answer.done():
                    asked.answer.set_result(answer)

    async def _send(self, batch: list[Asked]) -> list[Any]:
        """Return the answers to a batch; raises what the first failure was."""
        answers = await self._run([asked.command for asked in batch])
        # A server that has not seen the script has counted nothing: those are asked again, with the script itself.
        missing = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if missing:
            again = await self._run([("EVAL", SCRIPT, *batch[place].command[2:]) for place in missing])
            for place, answer in zip(missing, again, strict=True):
                answers[place] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _run(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        if self._endpoint.cluster_nodes:  # keys of one batch are on several nodes
            answers: list[Any] = []
            for first in range(0, len(commands), SPREAD):
                calls = [
                    self._client.execute_command(*command) for command in commands[first : first + SPREAD]
                ]
                answers += await asyncio.gather(*calls, return_exceptions=True)
            return answers
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(await pipeline.execute(raise_on_error=False))

    # --- outages ---------------------------------------------------------------------------------------------

    def _lost(self, reason: str, batch: list[Asked]) -> None:
        waiting, self._queue = [*batch, *self._queue], []
        _give_up(waiting, f"{self._endpoint} is away")
        if self.away:
            return
        self.away = True
        for secret in (self._endpoint.password, self._endpoint.sentinel_password):
            if secret:  # a server may quote the command that it did not like
                reason = reason.replace(secret, "…")
        self._tell(reason or "failed")
        self._probe = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        """Ask until there is an answer: one that counts, since a replica or a full server would answer a PING."""
        window = Window(PERIODS.index("second"), 1, 0, 0, 0)
        command = ("EVAL", SCRIPT, 1, _name(b"probe"), 0, 0, 1, *_arguments((window,))[1:])
        while self.away:
            await asyncio.sleep(PAUSE)
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(min(PROBE_TIMEOUT, self._endpoint.patience)):
                    await self._client.execute_command(*command)
                self.away = False
        self._tell("")

    async def close(self) -> None:
        """Let go of the connections; whoever waits is told that nothing was counted."""
        tasks = [*self._lanes, *([self._probe] if self._probe is not None else [])]
        self.away = True
        waiting, self._queue = self._queue, []
        _give_up(waiting, "stopped")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await close_client(self._client)


def _give_up(batch: list[Asked], reason: str) -> None:
    for asked in batch:
        if not asked.answer.done():
            asked.answer.set_exception(CountersAway(reason))


def _name(key: bytes) -> str:
    """Return the name of a caller's hash: a digest, as keys may be secret; in braces, for a Cluster."""
    return f"proxyd:limits:{{{hashlib.blake2b(key, digest_size=16).hexdigest()}}}"


@lru_cache(1024)
def _arguments(windows: tuple[Window, ...]) -> tuple[int | str, ...]:
    arguments: list[int | str] = [int(windows[0].sliding)]
    for window in windows:
        period = PERIODS[window.period]
        length = LENGTHS.get(period, 0)
        edges = (0, 0, 0, 0)
        if not length:
            edges = (window.previous, window.start, window.end, bounds(period, window.end)[1])
        arguments += (window.period, window.limit, length, *edges)
    return tuple(arguments)
