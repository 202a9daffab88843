"""A configuration for all workers or for none, with workers that fail in every way there is."""

from __future__ import annotations

import asyncio

import pytest

from proxyd.errors import ConfigError
from proxyd.master.channel import ChannelError
from proxyd.master.child import values_of
from proxyd.master.master import Master
from proxyd.master.reloading import reload
from proxyd.model.load import load_text


class Fake:
    """A worker that answers as it is told to; ``said`` is what it heard."""

    def __init__(self, slot=0, *, prepare="good", commit="good", hangs=False):
        self.slot = slot
        self.hangs = hangs
        self.leaving = asyncio.Event()
        self.hung = False
        self.said = []
        self._answers = {"prepare": prepare, "commit": commit}

    async def ask(self, what, _attached=b"", **values):
        if what == "ping":
            if self.hangs:
                raise ChannelError("no answer in 1 seconds")
            return {}
        self.said.append(what)
        answer = self._answers[what]
        if answer == "dies":
            self.leaving.set()
            raise ChannelError("it has ended")
        if answer == "silent":
            raise ChannelError(f"no answer in {values['within']:g} seconds")
        problems = [values_of(one) for one in answer] if isinstance(answer, list) else []
        return {"problems": problems, "warnings": ["old"], "changed": ["workers"], "routes": 3}

    def tell(self, what, **_values):
        self.said.append(what)

    async def kill(self):
        self.said.append("kill")
        self.leaving.set()


def problems():
    with pytest.raises(ConfigError) as caught:
        load_text("a: [", "kong.yml", env={}, plugins={})
    return caught.value.problems


async def take_over(*children):
    decided = []
    outcome = await reload(children, 1, "text", lambda: decided.append([*children[0].said]))
    return outcome, decided


async def refuse(*children):
    decided = []
    with pytest.raises(ConfigError) as caught:
        await reload(children, 1, "text", lambda: decided.append(True), prepare_wait=5)
    assert decided == []
    return [str(one) for one in caught.value.problems]


async def test_all_prepare_before_any_takes_over():
    """The decision stands between the two steps; what the first one told is what is told."""
    children = [Fake(slot) for slot in range(3)]
    outcome, decided = await take_over(*children)
    assert [child.said for child in children] == [["prepare", "commit"]] * 3
    assert decided == [["prepare"]]
    assert (outcome.routes, outcome.warnings, outcome.changed) == (3, ["old"], ["workers"])


async def test_a_bad_file_costs_the_first_worker_only():
    """The others never hear of it, but for the end of the matter; the problems come out as they went in."""
    first, second = Fake(prepare=problems()), Fake(1)
    assert await refuse(first, second) == [str(one) for one in problems()]
    assert (first.said, second.said) == (["prepare", "abort"], ["abort"])


async def test_where_a_later_one_refuses_none_takes_over():
    """Those that had prepared it let it go."""
    children = [Fake(0), Fake(1), Fake(2, prepare=problems())]
    assert len(await refuse(*children)) == 1
    assert [child.said for child in children] == [["prepare", "abort"]] * 3


async def test_a_file_that_kills_a_worker_kills_one():
    """The first one dies of it: the others are not asked."""
    first, second = Fake(prepare="dies"), Fake(1)
    assert await refuse(first, second) == ["configuration: not loaded: worker 0 ended while it prepared it"]
    assert second.said == ["abort"]


async def test_one_that_hangs_does_not_refuse_a_file():
    """Its end is not the file's fault: another one is the first."""
    hanging, good = Fake(hangs=True, prepare="dies"), Fake(1)
    _, decided = await take_over(hanging, good)
    assert decided
    assert good.said == ["prepare", "commit"]


async def test_one_that_dies_later_does_not_count():
    """Its successor starts with what was taken over."""
    children = [Fake(0), Fake(1, prepare="dies"), Fake(2)]
    _, decided = await take_over(*children)
    assert decided
    assert children[2].said == ["prepare", "commit"]


async def test_one_that_does_not_answer_refuses_for_all():
    """After the time that it has, the old configuration stays everywhere."""
    children = [Fake(0), Fake(1, prepare="silent")]
    assert await refuse(*children) == [
        "configuration: not loaded: worker 1 does not follow: no answer in 5 seconds"
    ]
    assert [child.said for child in children] == [["prepare", "abort"]] * 2


async def test_once_decided_who_does_not_follow_is_ended():
    """No worker goes on with the old one: its successor will have the new one."""
    children = [Fake(0, commit="silent"), Fake(1), Fake(2, commit="dies")]
    await take_over(*children)
    assert children[0].said == ["prepare", "commit", "kill"]
    assert (children[0].hung, children[2].hung) == (True, False)


async def test_without_workers_it_is_decided_at_once():
    """Who comes will run it."""
    decided = []
    await reload([], 1, "text", lambda: decided.append(True))
    assert decided == [True]


async def test_what_nobody_has_foreseen_refuses_a_reload_and_ends_no_master():
    """Such as a thread that cannot be started: what runs goes on."""

    def read():
        raise RuntimeError("can't start new thread")

    text = '_format_version: "3.0"\n'
    loaded = load_text(text, "kong.yml", env={}, plugins={})
    master = Master(loaded, text, "kong.yml", read, lambda _text: None, 1)
    assert not await master.reload()
    assert "RuntimeError, see the event log" in str(master.config.problems[0])
