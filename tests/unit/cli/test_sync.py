"""Dumps that are always the same, and plans that lead from what is there to what a file says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyd.cli.config import plugin_configs
from proxyd.cli.sync.dumping import dump
from proxyd.cli.sync.planning import PlanError, plan
from proxyd.cli.sync.selecting import select
from proxyd.model.flat import Flat, flat, spare
from proxyd.model.load import load_text
from proxyd.model.shapes import SHAPES

KONG = sorted((Path(__file__).parents[2] / "data/kong").glob("*.y*ml")) + sorted(
    (Path(__file__).parents[2] / "data/kong").glob("*.json")
)
PLUGINS = plugin_configs()


def unsealed(_collection, document):
    return document


def read(text):
    return flat(text, "file", PLUGINS)


@pytest.mark.parametrize("path", KONG, ids=lambda path: path.name)
def test_a_dump_says_what_the_file_says_and_is_its_own_dump(path):
    """For Kong's files: same entities under same ids, and byte for byte the same again."""
    entities = read(path.read_text())
    text = dump(entities, PLUGINS)
    again = read(text)
    assert again.table == entities.table
    assert dump(again, PLUGINS) == text
    assert plan(entities.table, again, unsealed) == []


@pytest.mark.parametrize("path", KONG, ids=lambda path: path.name)
def test_a_dump_applied_to_nothing_is_dumped_the_same(path):
    """Whatever ids there were before."""
    text = dump(read(path.read_text()), PLUGINS)
    made = Flat()
    for step in plan(Flat().table, read(text), unsealed):
        assert step.action == "create"
        made.table[step.collection][step.id] = step.after
    made.vaults = read(text).vaults
    made.transform = read(text).transform
    assert dump(made, PLUGINS) == text


class Environment(dict):
    """Variables that all have a value, and each another one: a number, or an object, where that is needed."""

    def __missing__(self, name):
        if name.endswith(("TIMEOUT", "PORT")):
            return "7000"
        if name == "BAAS_DASHBOARD":
            return '{"password": "of-the-dashboard"}'
        return f"the value of {name}"


@pytest.mark.parametrize("path", KONG, ids=lambda path: path.name)
def test_a_dump_loads_as_its_file_does(path):
    """The same entities, and the same settings of plugins."""
    text = path.read_text()
    before = load_text(text, "file", env=Environment(), plugins=PLUGINS)
    env = Environment(PROXYD_EXPAND_ENV="on" if before.settings.expand_env else "off")
    after = load_text(dump(read(text), PLUGINS), "dump", env=env, plugins=PLUGINS)
    for collection in SHAPES:
        found, wanted = (dict(getattr(one.configuration, collection)) for one in (after, before))
        if collection == "plugins":  # as the file wrote them; what they come to is compared below
            found, wanted = (
                {key: one.model_copy(update={"config": {}}) for key, one in some.items()}
                for some in (found, wanted)
            )
        assert found == wanted
    assert after.plugin_configs == before.plugin_configs


TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12) | st.sampled_from(
    [
        "yes",
        "No",
        "null",
        "~",
        "0x1f",
        "017",
        "1e3",
        "1_000",
        "2027-01-01",
        "- a",
        "a: b",
        "#x",
        "<<",
        "=",
        "'",
        '"',
        "${X}",
        "{vault://env/x}",
        " a",
        "a\n b",
    ]
)
NAMES = st.sampled_from([None, "a", "b", "yes", "1", "c.d"])
IDS = st.uuids(version=4).map(str)


@st.composite
def tables(draw):
    """Entities as a database has them: any ids, some names, references among them."""
    found = Flat(transform=False)

    def entities(collection, made, name=""):
        taken = set()
        for _ in range(draw(st.integers(0, 3))):
            document = made()
            if name and (value := draw(NAMES)) is not None and value not in taken:
                taken.add(value)
                document[name] = value
            found.table[collection][draw(IDS)] = document
        return list(found.table[collection])

    tags = st.lists(st.sampled_from(["t", "on", "3"]), unique=True, max_size=2)
    services = entities("services", lambda: {"host": "h", "tags": draw(tags)}, "name")
    owner = st.none() if not services else st.none() | st.sampled_from(services)
    routes = entities(
        "routes",
        lambda: {
            "paths": ["/" + draw(st.sampled_from("abc"))],
            "headers": {"x": [draw(TEXTS)]},
            **({"service": one} if (one := draw(owner)) else {}),
        },
        "name",
    )
    consumers = entities("consumers", lambda: {"custom_id": draw(TEXTS) + draw(IDS)}, "username")
    if consumers:
        entities(
            "keyauth_credentials", lambda: {"consumer": draw(st.sampled_from(consumers)), "key": draw(IDS)}
        )
    scopes = [("service", services), ("route", routes), ("consumer", consumers)]
    for _ in range(draw(st.integers(0, 4))):
        scope = {field: draw(st.sampled_from(some)) for field, some in scopes if some and draw(st.booleans())}
        document = {"name": "request-termination", "config": {"message": draw(TEXTS)}, **scope}
        same = [
            one
            for one in found.table["plugins"].values()
            if {**one, "config": 0} == {**document, "config": 0}
        ]
        if not same:
            found.table["plugins"][draw(IDS)] = document
    for collection, documents in found.table.items():
        for identity, document in documents.items():
            documents[identity] = spare(collection, document, PLUGINS)
    return found


@settings(deadline=None, max_examples=60)
@given(tables())
def test_whatever_there_is_comes_back_from_its_dump(entities):
    """Same ids, same documents; and the dump of what came back is the same text."""
    text = dump(entities, PLUGINS)
    again = read(text)
    assert again.table == entities.table
    again.transform = False
    assert dump(again, PLUGINS) == text


def test_an_entity_keeps_its_id_where_the_file_has_none():
    """It is found by its name, by what identifies it within its parent, or by the very same fields."""
    there = Flat()
    there.table["services"]["11111111-1111-4111-8111-111111111111"] = {"name": "shop", "host": "old"}
    there.table["certificates"]["22222222-2222-4222-8222-222222222222"] = {"cert": "c", "key": "k"}
    there.table["plugins"]["33333333-3333-4333-8333-333333333333"] = {
        "name": "cors",
        "service": "11111111-1111-4111-8111-111111111111",
    }
    wanted = read(
        '{"_format_version": "3.0", "certificates": [{"cert": "c", "key": "k"}],'
        '"services": [{"name": "shop", "host": "new", "plugins": [{"name": "cors"}]}]}'
    )
    (step,) = plan(there.table, wanted, unsealed)
    assert (step.action, step.id, step.before["host"], step.after["host"]) == (
        "update",
        "11111111-1111-4111-8111-111111111111",
        "old",
        "new",
    )
    wanted = read(
        '{"_format_version": "3.0", "services": [{"id": "44444444-4444-4444-8444-444444444444", "name": "shop", "host": "h"}]}'
    )
    with pytest.raises(PlanError, match="service 'shop' has the id 1111"):
        plan(there.table, wanted, unsealed)


def test_what_is_referred_to_is_made_first_and_goes_last():
    """Of tags, only entities that have them go."""
    wanted = read(
        '{"_format_version": "3.0", "routes": [{"name": "r", "paths": ["/"], "service": "s", "tags": ["t"]}],'
        '"services": [{"name": "s", "host": "h"}]}'
    )
    made = plan(Flat().table, wanted, unsealed)
    assert [step.label for step in made] == ["s", "r"]
    there = Flat()
    for step in made:
        there.table[step.collection][step.id] = step.after
    assert [step.label for step in plan(there.table, Flat(), unsealed)] == ["r", "s"]
    assert [step.label for step in plan(there.table, Flat(), unsealed, ["t"])] == ["r"]
    selected = select(there, ["t"])
    assert [len(selected.table[name]) for name in ("routes", "services")] == [1, 1]
