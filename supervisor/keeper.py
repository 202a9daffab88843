#!/usr/bin/env python3
"""What supervisord does not look after by itself: memory, loops that do not turn, times to restart at.

supervisord runs it as an event listener of TICK_5, and every five seconds it looks at each instance by its own status
socket. One that holds too much memory, and all of them when their time has come, are exchanged one after another: each
finishes what it has and is ready again before the next one is touched. One that does not answer is killed, for it would
finish nothing; supervisord starts it anew.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from typing import TYPE_CHECKING

from fleet import READY, Fleet, FleetError
from schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from fleet import Instance

STALE = 30  # seconds after which a tick says nothing: it waited while instances were exchanged
TRIES = 3  # questions without an answer, until an instance counts as hung
PAUSE = 0.5  # seconds between them, where the answer is a refusal
SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size(text: str) -> int:
    """Read a size: 500M, 1GB, 300000; 0 is no limit. Raises ValueError."""
    match = re.fullmatch(r"(\d+)([KMG]?)B?", text.strip(), re.IGNORECASE)
    if not match:
        raise ValueError(f"'{text}' is no size, such as 500M")
    return int(match[1]) * SIZES[match[2].upper()]


def schedule(text: str) -> Schedule | None:
    """Read a line of cron's, or nothing for an empty one."""
    return Schedule(text) if text.strip() else None


class Keeper:
    """Looks at the instances, once for each tick."""

    def __init__(self, fleet: Fleet, memory: int, restart_at: Schedule | None, grace: float) -> None:
        self._fleet = fleet
        self._memory = memory
        self._restart_at = restart_at
        self._grace = grace
        self._minute = -1
        self._answered: set[int] = set()  # processes, in the last tick

    def tick(self, now: float) -> None:
        """Look at everything once; what cannot be done now is tried with the next tick."""
        try:
            instances = [one for one in self._fleet.instances() if one.state == "RUNNING"]
            old = [one for one in instances if now - one.started >= self._grace]
            self._kill_hung(old, now)
            self._restart_in_time(instances, now)
            self._exchange_large(old)
        except FleetError as error:
            log("warning", "not done", reason=str(error))

    def _kill_hung(self, instances: list[Instance], now: float) -> None:
        answered = set()
        for one in instances:
            if self._answers(one):
                answered.add(one.pid)
            elif one.pid in self._answered or now - one.started >= READY:  # and is not merely slow to start
                log("error", "killed, for it did not answer", instance=one.name, pid=one.pid)
                self._fleet.signal(one, "KILL")
        self._answered = answered

    def _answers(self, instance: Instance) -> bool:
        for _ in range(TRIES):
            if instance.answers():
                return True
            time.sleep(PAUSE)
        return False

    def _restart_in_time(self, instances: list[Instance], now: float) -> None:
        minute = int(now // 60)
        if self._restart_at is None or minute == self._minute or not self._restart_at.includes(now):
            return
        with self._fleet.alone():
            self._minute = minute
            for one in instances:
                log("notice", "exchanged, for it is time", instance=one.name, pid=one.pid)
                self._fleet.exchange(one)

    def _exchange_large(self, instances: list[Instance]) -> None:
        if not self._memory:
            return
        for one in instances:
            held = one.resident()
            if held > self._memory:
                with self._fleet.alone():
                    now = self._fleet.exchange(one)
                log(
                    "warning",
                    "exchanged, for it held too much memory",
                    instance=one.name,
                    bytes=held,
                    pid=now.pid,
                )
                return  # one for each tick: the others are measured anew


def log(level: str, event: str, **facts: object) -> None:
    """Write a line as the gateway's own event log has them; standard output is supervisord's."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"time": moment, "level": level, "component": "keeper", "event": event, **facts}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


def listen(keeper: Keeper, events: TextIO, answers: TextIO) -> None:
    """Take events from supervisord until there are no more."""
    while True:
        answers.write("READY\n")
        answers.flush()
        header = dict(word.split(":", 1) for word in events.readline().split())
        if not header:
            return
        payload = events.read(int(header["len"]))
        if header["eventname"].startswith("TICK"):
            when = float(dict(word.split(":", 1) for word in payload.split())["when"])
            if time.time() - when < STALE:
                keeper.tick(when)
        answers.write("RESULT 2\nOK")
        answers.flush()


def main(argv: Sequence[str] | None = None) -> None:
    """Run as an event listener."""
    parser = argparse.ArgumentParser(description="Looks after the gateway's instances under supervisord.")
    parser.add_argument("--memory", type=size, default=0, help="most that an instance may hold, such as 500M")
    parser.add_argument("--restart-at", type=schedule, help="when to exchange all of them, as cron has it")
    parser.add_argument("--grace", type=float, default=30, help="seconds in which a new one is left alone")
    arguments = parser.parse_args(argv)
    keeper = Keeper(Fleet(), arguments.memory, arguments.restart_at, arguments.grace)
    listen(keeper, sys.stdin, sys.stdout)


if __name__ == "__main__":
    main()
