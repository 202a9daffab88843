"""A declarative file into a database."""

from __future__ import annotations

import json

import pytest

from proxyd.cli.config import plugin_configs
from proxyd.database.entries import Contents, Entry
from proxyd.database.seeding import changes_of, replacing
from proxyd.database.text import compose, frame_of
from proxyd.errors import ConfigError
from proxyd.model.document import DATABASE
from proxyd.model.load import load_text

FILE = """
_format_version: "2.1"
_transform: %s
services:
  - name: shop
    url: http://shop.internal:81/base
    tags: [web]
    routes: [{name: r, paths: ['/[a-z]+', /plain]}]
    plugins: [{name: rate-limiting, config: {minute: 5, policy: redis, redis: {host: r, password: "{vault://env/redis-pw}"}}}]
  - {name: blog, url: "{vault://env/blog-url}"}
upstreams: [{name: up, hash_on: ip, targets: [{target: 10.0.0.1}]}]
certificates: [{cert: CERT, key: KEY, snis: [a.example]}]
consumers:
  - username: ann
    keyauth_credentials: [{key: "{vault://env/ann-key}"}]
    basicauth_credentials: [{username: ann, password: ABCDEF}]
    acls: [{group: staff}]
"""
ENV = {
    "REDIS_PW": "hush",
    "BLOG_URL": "http://blog.internal",
    "ANN_KEY": "a-key",
    "PROXYD_KEY_PEPPER": "p" * 32,
}


def load(text, name="kong.yml", env=ENV):
    return load_text(text, name, env=env, plugins=plugin_configs())


def seed(text, env=ENV):
    return changes_of(text, "kong.yml", env, {}, load(text, env=env).settings)


def contents(changes):
    entries = {}
    for number, change in enumerate(changes):
        entry = Entry(change.collection, change.id, change.document, float(number), 1.0)
        entries.setdefault(change.collection, {})[change.id] = entry
    return Contents(1, entries)


@pytest.mark.parametrize("transform", ["true", "false"])
def test_what_a_database_gives_back_is_what_the_file_was(transform):
    """Ids, defaults, short forms, older formats and digests: both texts load to the same entities."""
    text = FILE % transform
    there = load(compose(frame_of(text, "kong.yml"), contents(seed(text))), DATABASE)
    here = load(text)
    assert there.plugin_configs == here.plugin_configs
    for collection in (
        "services",
        "routes",
        "upstreams",
        "targets",
        "certificates",
        "snis",
        "consumers",
        "acls",
    ):
        assert getattr(there.configuration, collection) == getattr(here.configuration, collection)
    assert not there.warnings


def test_placeholders_stay_and_secrets_are_sealed():
    """A vault's secret is not written down; keys and passwords are digests."""
    text = FILE % "true"
    written = json.dumps([change.document for change in seed(text)])
    assert "{vault://env/redis-pw}" in written
    assert "{vault://env/blog-url}" in written
    for secret in ("hush", "a-key", "ABCDEF", "ann-key"):
        assert secret not in written


def test_keys_without_a_pepper_are_refused_with_their_place():
    """The error says what to set."""
    env = {name: value for name, value in ENV.items() if name != "PROXYD_KEY_PEPPER"}
    with pytest.raises(
        ConfigError,
        match=r"kong\.yml:\d+:\d+: consumers\[0\]\.keyauth_credentials\[0\]\.key: .*PROXYD_KEY_PEPPER",
    ):
        seed(FILE % "true", env)


def test_numbers_that_no_database_keeps_are_refused_with_their_place():
    """YAML knows larger ones than JSON."""
    text = (
        '_format_version: "3.0"\nplugins: [{name: rate-limiting, config: {minute: 99999999999999999999}}]\n'
    )
    with pytest.raises(ConfigError, match=r"kong\.yml:2:\d+: plugins\[0\]: .*64 bits"):
        seed(text)


def test_replacing_takes_away_what_is_not_there_any_more():
    """And puts the rest."""
    before = contents(seed(FILE % "true"))
    changes = seed('_format_version: "3.0"\nconsumers: [{username: ann}]')
    after = replacing(before, changes)
    assert {change.collection for change in after if change.document is None} == set(before.entries) - {
        "consumers"
    }
    assert after[-1] == changes[0]
