"""The JSON Schema accepts what loads and refuses what does not."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from proxyd.model.schema import json_schema
from proxyd.model.shapes import SHAPES

HEAD = '_format_version: "3.0"\n'


@pytest.fixture
def validator(registry):
    schema = json_schema(registry)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def messages(validator, text):
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_every_sample_is_valid(validator, samples):
    """An editor underlines nothing in a file that loads."""
    found = {path.name: messages(validator, path.read_text()) for path in samples.glob("*.y*ml")}
    found["json"] = [
        error.message
        for error in validator.iter_errors(json.loads((samples / "export-flat.json").read_text()))
    ]
    assert {name: texts for name, texts in found.items() if texts} == {}
    assert len(found) >= 12


@pytest.mark.parametrize(
    "text",
    [
        "services: []\n",
        HEAD + "servces: []\n",
        HEAD + "services: {}\n",
        HEAD + "services: [{name: s}]\n",
        HEAD + "services: [{host: h, retires: 1}]\n",
        HEAD + "services: [{host: h, port: 70000}]\n",
        HEAD + "services: [{host: h, routes: [{paths: [x]}]}]\n",
        HEAD + "routes: [{methods: [get]}]\n",
        HEAD + "routes: [{paths: [/], service: 7}]\n",
        HEAD + "routes: [{paths: [/], https_redirect_status_code: 303}]\n",
        HEAD + "upstreams: [{name: u, hash_on: nothing}]\n",
        HEAD + "upstreams: [{name: u, healthchecks: {active: {helthy: {}}}}]\n",
        HEAD + "consumers: [{username: a, keyauth_credentials: [{}]}]\n",
        HEAD + "plugins: [{name: rate-limiting, config: {minut: 5}}]\n",
        HEAD + "plugins: [{name: rate-limiting, config: {redis: {port: 1}}}]\n",
        HEAD + "plugins: [{config: {}}]\n",
        HEAD + "proxyd: {log_levl: debug}\n",
        '_format_version: "4.0"\n',
    ],
)
def test_mistakes_are_found(validator, text):
    """What would not load is underlined."""
    assert messages(validator, text)


def test_every_field_is_described(registry):
    """Editors show a help line for each field of each entity and of each plugin."""
    definitions = json_schema(registry)["$defs"]
    bare = [
        f"{name}.{field}"
        for name, definition in definitions.items()
        for field, schema in definition.get("properties", {}).items()
        if "description" not in schema
    ]
    assert bare == []
    assert set(SHAPES) <= set(definitions)


def test_plugins_of_the_same_class_name_are_kept_apart(registry):
    """Two plugins may both call their class Config."""
    first = type("Config", (registry["cors"],), {"__module__": "one", "__doc__": "One."})
    second = type("Config", (registry["acl"],), {"__module__": "two", "__doc__": "Two."})
    validator = jsonschema.Draft202012Validator(json_schema({"one": first, "two": second}))
    assert messages(validator, HEAD + "plugins: [{name: one, config: {origins: [a]}}]\n") == []
    assert messages(validator, HEAD + "plugins: [{name: one, config: {allow: [a]}}]\n")
    assert messages(validator, HEAD + "plugins: [{name: two, config: {allow: [a]}}]\n") == []
