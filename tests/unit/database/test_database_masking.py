"""The audit log holds no secret."""

from __future__ import annotations

import pytest

from proxyd.cli.config import plugin_configs
from proxyd.database.masking import Masking

MASK = Masking(plugin_configs())


@pytest.mark.parametrize(
    ("collection", "document", "shown"),
    [
        ("services", {"host": "h", "port": 80}, {"host": "h", "port": 80}),
        ("keyauth_credentials", {"key": "s", "consumer": "c"}, {"key": "<hidden>", "consumer": "c"}),
        (
            "certificates",
            {"cert": "C", "key": "s", "key_alt": None},
            {"cert": "C", "key": "<hidden>", "key_alt": None},
        ),
        ("jwt_secrets", {"key": "iss", "secret": "s"}, {"key": "iss", "secret": "<hidden>"}),
        ("unheard_of", {"a": "s", "b": [], "c": 0}, {"a": "<hidden>", "b": [], "c": 0}),
    ],
)
def test_fields_that_are_secret_are_hidden(collection, document, shown):
    """What an entity's shape says is hidden; of a collection that is not known, everything."""
    assert MASK(collection, document) == shown


def test_settings_of_plugins_hide_what_their_classes_hide():
    """Deep down too, and what a class does not know."""
    config = {
        "minute": 5,
        "redis": {"host": "r", "password": "s", "sentinel_password": None},
        "redis_password": "s",
    }
    shown = MASK("plugins", {"name": "rate-limiting", "config": config})
    assert shown["config"] == {
        "minute": 5,
        "redis": {"host": "r", "password": "<hidden>", "sentinel_password": None},
        "redis_password": "<hidden>",
    }


def test_of_a_plugin_that_is_not_known_nothing_is_shown():
    """Its settings keep their names only."""
    shown = MASK("plugins", {"name": "unheard-of", "config": {"a": {"b": "s"}, "c": ["s"], "d": False}})
    assert shown["config"] == {"a": "<hidden>", "c": "<hidden>", "d": False}


def test_the_document_itself_stays_as_it_was():
    """A copy is masked."""
    document = {"name": "rate-limiting", "config": {"redis": {"password": "s"}}}
    MASK("plugins", document)
    assert document["config"]["redis"]["password"] == "s"
