"""Mounting applications: what is imported, what is refused, how they start and end."""

from __future__ import annotations

import json
import sys

import pytest

from proxyd.apps.caller import NOBODY, Caller, caller_of
from proxyd.apps.host import Apps
from proxyd.errors import ConfigError, GatewayError, Place
from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.model.load import load_text
from proxyd.store.consumers import Consumers
from proxyd.upstream.connector import Endpoint

PLACES = {
    f"proxyd.apps.{name}": Place("kong.yml", number, 5) for number, name in enumerate(["one", "two"], 2)
}

SOURCE = """
from aiohttp import web

seen = []
ready = web.Application()
text = "not an application"

def make():
    app = web.Application()
    app.on_startup.append(note)
    app.on_cleanup.append(note)
    return app

async def make_later():
    return make()

async def note(app):
    seen.append("note")

class Inner:
    make = staticmethod(make)

def broken():
    raise RuntimeError("no database")

def slow_to_start():
    app = web.Application()
    app.on_startup.append(fail)
    return app

async def fail(app):
    raise RuntimeError("no database")

def number():
    return 7
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Give the name of a module that can be imported, once."""
    name = f"mounted_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / f"{name}_broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize("attribute", ["ready", "make", "make_later", "Inner.make"])
async def test_what_can_be_mounted(module, attribute):
    """An application, or what makes one, at once or later; it starts and ends with the gateway."""
    apps = Apps({"one": f"{module}:{attribute}"})
    await apps.start(PLACES)
    assert repr(apps) == "<Apps one>"
    await apps.stop()
    await apps.stop()
    assert repr(apps) == "<Apps stopped>"
    assert sys.modules[module].seen == ([] if attribute == "ready" else ["note", "note"])


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("no_such_module:app", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("{}:missing", "AttributeError: module '{}' has no attribute 'missing'"),
        ("{}_broken:app", "ZeroDivisionError: division by zero"),
        ("{}:broken", "RuntimeError: no database"),
        ("{}:text", "is str, and neither an aiohttp Application nor what makes one"),
        ("{}:number", "is int, and neither an aiohttp Application nor what makes one"),
    ],
)
async def test_what_cannot_be_mounted(module, reference, reason):
    """Is told with its place, whatever the code raises; the others are looked at all the same."""
    reference = reference.format(module)
    with pytest.raises(ConfigError) as caught:
        await Apps({"one": reference, "two": "no_such_module:app"}).load(PLACES)
    first, second = map(str, caught.value.problems)
    assert first == f"kong.yml:2:5: proxyd.apps.one: {reference}: {reason.format(module)}"
    assert second.startswith("kong.yml:3:5: proxyd.apps.two: no_such_module:app: ModuleNotFoundError")


async def test_an_application_is_mounted_once(module):
    """An object that has been started cannot be started again; what makes one can."""
    ready = f"{module}:ready"
    with pytest.raises(ConfigError, match="the same object is mounted twice"):
        await Apps({"one": ready, "two": ready}).load(PLACES)
    first = Apps({"one": ready})
    await first.start(PLACES)
    await first.stop()
    with pytest.raises(ConfigError, match="has been started before"):
        await Apps({"one": ready}).load(PLACES)


async def test_an_application_that_does_not_start(module):
    """Is told with its place, and what had started is ended."""
    apps = Apps({"one": f"{module}:make", "two": f"{module}:slow_to_start"})
    with pytest.raises(ConfigError) as caught:
        await apps.start(PLACES)
    assert str(caught.value) == "kong.yml:3:5: proxyd.apps.two: does not start: RuntimeError: no database"
    await apps.stop()
    assert sys.modules[module].seen == ["note", "note"]


async def test_an_application_that_is_not_there():
    """Is like a target that refuses connections."""
    with pytest.raises(GatewayError) as caught:
        await Apps({}).dial(Endpoint("gone", 0, memory=True), lambda: None, 1.0)
    assert (caught.value.status, caught.value.cause) == (502, "memory://gone: not running")


# --- who calls -----------------------------------------------------------------------------------------------

ANN = {"username": "ann", "custom_id": "7", "acls": [{"group": "staff"}]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, NOBODY),
        ({"who": "ann"}, Caller("", "ann", "7", None, groups=("staff",))),
        ({"who": "ann", "groups": ("a",)}, Caller("", "ann", "7", None, groups=("a",))),
        ({"who": "ann", "groups": ("a",), "credential": "c"}, Caller("", "ann", "7", "c", groups=("staff",))),
        ({"who": "ann", "anonymous": True}, Caller("", "ann", "7", None, anonymous=True, groups=("staff",))),
        ({"claims": {"sub": "u"}, "credential": "u"}, Caller(credential="u", claims={"sub": "u"})),
        ({"claims": {}, "groups": ("a",)}, Caller(groups=("a",), claims={})),
        ({"credential": "u"}, NOBODY),
    ],
)
def test_a_caller_is_what_acl_sees(fields, expected):
    """Of consumers their own groups, of others those that a plugin vouches for."""
    loaded = load_text(json.dumps({"_format_version": "3.0", "consumers": [ANN]}), env={}, plugins={})
    consumers = Consumers(loaded.configuration)
    told = [(b"X-Credential-Identifier", fields["credential"].encode())] if "credential" in fields else []
    head = RequestHead("GET", "/", "/", "", 1, "h", Headers.of(told), 0, keep_alive=True)
    one = Exchange(head, Client("192.0.2.1", 4000, "http", 8000), 0.0)
    one.consumer = consumers.find(fields["who"]) if "who" in fields else None
    one.credential = object() if "credential" in fields else None
    one.groups, one.claims = fields.get("groups"), fields.get("claims")
    one.anonymous = fields.get("anonymous", False)
    found = caller_of(one, consumers.groups)
    ours = expected if one.consumer is None else Caller(one.consumer.id, *_rest(expected))
    assert (found, found.known) == (ours, ("who" in fields and not one.anonymous) or "claims" in fields)


def _rest(caller):
    return (
        caller.username,
        caller.custom_id,
        caller.credential,
        caller.anonymous,
        caller.groups,
        caller.claims,
    )


def test_roles_are_groups_and_what_the_claim_says():
    """Where one is named."""
    caller = Caller(groups=("a",), claims={"roles": ["b"]})
    assert (caller.roles(), caller.roles("roles")) == ({"a"}, {"a", "b"})
