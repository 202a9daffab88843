"""The plugin contract, and what every plugin that comes with proxyd keeps of it."""

from __future__ import annotations

import ast
import inspect
import json
from typing import ClassVar

import pytest
from pydantic import ValidationError

from proxyd.errors import ConfigError
from proxyd.model.load import load_text
from proxyd.plugin import PHASES, Config, Plugin, Scope
from proxyd.plugins import BY_NAME, PLUGINS

# Kong's, by name (the PRIORITY of each handler.lua).
KONG = {
    "correlation-id": 100_001,
    "zipkin": 100_000,
    "bot-detection": 2_500,
    "cors": 2_000,
    "acme": 1_705,
    "mtls-auth": 1_600,
    "jwt": 1_450,
    "key-auth": 1_250,
    "basic-auth": 1_100,
    "hmac-auth": 1_030,
    "ip-restriction": 990,
    "request-size-limiting": 951,
    "acl": 950,
    "rate-limiting": 910,
    "response-ratelimiting": 900,
    "request-transformer": 801,
    "response-transformer": 800,
    "redirect": 779,
    "opentelemetry": 14,
    "prometheus": 13,
    "http-log": 12,
    "datadog": 10,
    "statsd": 11,
    "file-log": 9,
    "udp-log": 8,
    "tcp-log": 7,
    "syslog": 4,
    "request-termination": 2,
}


class Settings(Config):
    """What a plugin is told."""

    size: int = 3
    """How large it is."""


class Sized(Plugin[Settings]):
    """A plugin of a user."""

    name = "sized"
    priority = 5


# --- the contract --------------------------------------------------------------------------------------------


async def test_an_instance_knows_itself():
    """Its settings class is what the class is generic in; what it does not define does nothing."""
    one = Sized(Settings(size=4), "id", Scope(route="r", consumer="c"))
    assert (Sized.Config, one.config.size, one.instance_id) == (Settings, 4, "id")
    assert repr(one) == "<sized route+consumer>"
    await one.start()
    await one.stop()
    assert one.body_filter(None, b"data", True) == b"data"
    assert [one.rewrite(None), one.access(None), one.log(None)] == [None] * 3


@pytest.mark.parametrize("values", [{"sise": 4}, {"size": "four"}, {"size": None}])
def test_settings_are_strict(values):
    """Nothing unknown, nothing of another type."""
    with pytest.raises(ValidationError):
        Settings(**values)


def test_settings_do_not_change():
    """An instance is what it was made."""
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.size = 4


class Renamed(Config):
    """What a plugin was told otherwise before."""

    renamed: ClassVar[dict[str, str]] = {"length": "size"}

    size: int = 3
    """How large it is."""


@pytest.mark.parametrize(
    ("values", "size"), [({"length": 4}, 4), ({"length": 4, "size": 5}, 5), ({"length": 4, "size": None}, 4)]
)
def test_older_names_of_settings(values, size):
    """Are read, today's win, and an editor takes both."""
    assert Renamed.model_validate(values).size == size
    schema = Renamed.model_json_schema()["properties"]
    assert (schema["length"]["type"], schema["length"]["description"]) == ("integer", "Today size.")
    with pytest.raises(ValidationError):
        Renamed(length="four")


# --- the plugins there are -----------------------------------------------------------------------------------


def test_plugins_stand_in_the_order_in_which_they_run():
    """Higher priority first, then by name backwards, as in Kong; each name once."""
    order = sorted(PLUGINS, key=lambda one: (one.priority, one.name), reverse=True)
    assert list(PLUGINS) == order
    assert list(BY_NAME.values()) == list(PLUGINS)


# What a plugin cannot do without.
REQUIRED = {
    "acl": {"allow": ["staff"]},
    "connection-limiting": {"per_ip": 10},
    "cors": {},
    "file-log": {"path": "/dev/stdout"},
    "http-log": {"http_endpoint": "http://127.0.0.1:9"},
    "internal-key": {"keys": [{"id": "k", "secret": "0123456789abcdef"}]},
    "ip-restriction": {"deny": ["192.0.2.0/24"]},
    "mtls-auth": {"ca_certificates": ["3a4f2c1e-0000-4000-8000-000000000001"]},
    "rate-limiting": {"minute": 5},
    "opentelemetry": {"traces_endpoint": "http://collector:4318/v1/traces"},
    "tcp-log": {"host": "127.0.0.1", "port": 9},
    "udp-log": {"host": "127.0.0.1", "port": 9},
    "response-ratelimiting": {"limits": {"videos": {"minute": 5}}},
    "redirect": {"location": "https://example.com"},
}

# What is there only where an extra is installed.
EXTRAS = {"opentelemetry": "opentelemetry.exporter.otlp.proto.common"}


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda one: one.name)
class TestEach:
    def test_priority(self, plugin):
        """A plugin of Kong's has the priority that it has there."""
        assert plugin.priority == KONG.get(plugin.name, plugin.priority)

    def test_phases(self, plugin):
        """It takes part in one phase at least, with the contract's arguments, and as plain methods."""
        defined = [phase for phase in PHASES if getattr(plugin, phase) is not getattr(Plugin, phase)]
        assert defined
        for phase in defined:
            method = getattr(plugin, phase)
            assert list(inspect.signature(method).parameters) == list(
                inspect.signature(getattr(Plugin, phase)).parameters
            )
            assert not inspect.iscoroutinefunction(method)
            assert method.__doc__

    def test_settings(self, plugin):
        """Each has a line of help, and a file that gives what is required is valid."""
        assert [name for name, field in plugin.Config.model_fields.items() if not field.description] == []
        if plugin.name in EXTRAS:
            pytest.importorskip(EXTRAS[plugin.name])
        entity = {"name": plugin.name, "config": REQUIRED.get(plugin.name, {})}
        text = json.dumps({"_format_version": "3.0", "plugins": [entity]})
        loaded = load_text(text, env={}, plugins={name: one.Config for name, one in BY_NAME.items()})
        assert [type(one) for one in loaded.plugin_configs.values()] == [plugin.Config]
        assert loaded.warnings == []

    def test_statuses(self, plugin):
        """Each status that its module answers with is told; a word stands for a setting of that name."""
        told = {status for status, _ in plugin.answers}
        found = set(replied(ast.parse(inspect.getsource(inspect.getmodule(plugin)))))
        assert found - told == set()
        assert {one for one in told if isinstance(one, str)} <= plugin.Config.model_fields.keys()


# What may refuse a request before it is known who calls.
EARLY = [one for one in PLUGINS if one.answers and one.priority >= BY_NAME["hmac-auth"].priority]


@pytest.mark.parametrize("plugin", EARLY, ids=lambda one: one.name)
def test_what_runs_before_it_is_known_who_calls_is_limited_to_no_consumer(plugin):
    """It would run for nobody, and so leave open what it was to lock."""
    entity = {"name": plugin.name, "config": REQUIRED.get(plugin.name, {})}
    text = json.dumps({"_format_version": "3.0", "consumers": [{"username": "a", "plugins": [entity]}]})
    with pytest.raises(ConfigError, match="cannot be limited to a consumer"):
        load_text(text, env={}, plugins={name: one.Config for name, one in BY_NAME.items()})


def replied(tree):
    """Yield what stands for the status in every ``Reply`` and ``unauthorized`` of a module."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id == "unauthorized":
            yield 401
        elif node.func.id == "Reply":
            first = node.args[0]
            for one in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
                if isinstance(one, ast.Constant):
                    yield one.value
                elif ast.unparse(one).startswith(("self.config.", "config.")):
                    yield ast.unparse(one).rpartition(".")[2]
                else:
                    yield f"a status that the source does not show: {ast.unparse(one)}"
