"""Placeholders and the environment."""

from __future__ import annotations

import pytest

from proxyd.model.element import Element
from proxyd.model.secrets import Secrets

ENV = {"API_KEY": "value", "NESTED": '{"user": "u", "port": 5}', "TRICK": "${API_KEY}", "EMPTY": ""}


def expand(text, *, expand_env=False, prefixes=None):
    secrets = Secrets(ENV, expand_env=expand_env, prefixes=prefixes)
    return secrets.expand(Element(text, 1, 1), text), secrets


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{vault://env/api-key}", "value"),
        ("{vault://env/API_KEY}", "value"),
        ("{vault://env/nested/user}", "u"),
        ("{vault://env/nested/port}", "5"),
        ("{vault://env/api-key?ttl=60}", "value"),
        ('${{ env "API_KEY" }}', "value"),
        ("${{env 'API_KEY'}}", "value"),
        ('Bearer ${{ env "API_KEY" }}!', "Bearer value!"),
        ("{vault://env/empty}", ""),
        ("/a{2}", "/a{2}"),
        ("${API_KEY}", "${API_KEY}"),
        ("{vault://env/trick}", "${API_KEY}"),
    ],
)
def test_placeholders_are_resolved_once(text, value):
    """Both forms are resolved, inside a text too; what was put in is not looked through again."""
    assert expand(text)[0] == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${API_KEY}", "value"),
        ("${NONE:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${API_KEY:-default}", "value"),
        ("a${API_KEY}b${NONE:-}c", "avaluebc"),
        ("${TRICK}", "${API_KEY}"),
        ("$API_KEY", "$API_KEY"),
    ],
)
def test_shell_placeholders_are_resolved_if_asked(text, value):
    """``${NAME}`` and ``${NAME:-default}`` mean what a shell makes of them."""
    assert expand(text, expand_env=True)[0] == value


def test_a_vault_may_have_a_name_and_a_prefix():
    """A vault of the file is another name for the environment, with a prefix before its variables."""
    assert expand("{vault://mine/key}", prefixes={"mine": "api_"})[0] == "value"


def test_failures_are_kept_and_named_without_values():
    """A missing variable leaves the text as it was."""
    text, secrets = expand("{vault://env/nested/none}")
    assert text == "{vault://env/nested/none}"
    assert [message for _, message in secrets.failures] == [
        "the environment variable NESTED is no JSON object with a 'none'",
    ]
    assert repr(secrets) == "<Secrets expanded=0 failed=1>"


def test_what_was_asked_for_is_remembered():
    """Variables that the file names are no unknown settings, default or not."""
    assert expand("${A:-x}{vault://env/api-key}", expand_env=True)[1].used == {"A", "API_KEY"}


def test_a_number_from_the_environment_becomes_one(load_yaml):
    """Where a number or a switch is due, the text from the environment is read as one; a text stays a text."""
    text = (
        "services: [{name: '{vault://env/n}', host: h, port: '{vault://env/p}', enabled: '{vault://env/e}'}]\n"
        "upstreams: [{name: u, healthchecks: {active: {healthy: {http_statuses: ['{vault://env/p}']}}}}]\n"
        "routes: [{paths: [/], https_redirect_status_code: '{vault://env/c}'}]\n"
        "plugins: [{name: rate-limiting, config: {second: '{vault://env/p}'}}]\n"
    )
    loaded = load_yaml(text, {"N": "12", "P": "443", "E": "off", "C": "308"})
    (service,) = loaded.configuration.services.values()
    (upstream,) = loaded.configuration.upstreams.values()
    (route,) = loaded.configuration.routes.values()
    (config,) = loaded.plugin_configs.values()
    assert (service.name, service.port, service.enabled) == ("12", 443, False)
    assert upstream.healthchecks.active.healthy.http_statuses == (443,)
    assert route.https_redirect_status_code == 308
    assert config.second == 443
