"""Keys that are made and rotated: what is kept of them, and when they end."""

from __future__ import annotations

import pytest

from proxyd.crypto.api_keys import KeyText, Pepper
from proxyd.model.issue import IssueError, Terms, ending, issue, named, successor
from proxyd.model.key_list import described, is_meant, moment_text

PEPPERS = (Pepper(b"p" * 32), Pepper(b"o" * 32))
DAY = 86_400.0
NOW = 1_700_000_000.0


def test_what_is_kept_of_a_key():
    """Its id, its hash under the first pepper, and what was said of it; nothing that was not."""
    made = issue(Terms("c", "ci", ("a", "b"), NOW, ("t",)), PEPPERS, "test")
    assert made.key.environment == "test"
    assert made.credential == {
        "consumer": "c",
        "name": "ci",
        "scopes": ["a", "b"],
        "expires_at": NOW,
        "tags": ["t"],
        "key_id": made.key.id,
        "hash": PEPPERS[0].seal(made.key.text.encode()),
    }
    assert set(issue(Terms("c"), PEPPERS, "live").credential) == {"consumer", "key_id", "hash"}
    assert made.key.text not in repr(made)


def test_without_a_pepper_no_key_is_made():
    """And it is said what is missing."""
    with pytest.raises(IssueError, match="PROXYD_KEY_PEPPER"):
        issue(Terms("c"), (), "live")


OLD = {"consumer": "c", "key_id": "abcdefghijkl", "hash": "h", "name": "ci", "scopes": ["a"], "tags": ["t"]}


def test_a_successor_is_for_the_same_as_the_old_key():
    """The old one goes on for the overlap, and keeps all else; a ttl gives way to that."""
    terms, old = successor({**OLD, "ttl": 5}, NOW, DAY)
    assert terms == Terms("c", "ci", ("a",), None, ("t",))
    assert old == {**OLD, "expires_at": NOW + DAY}


def test_a_successor_lives_as_long_as_the_old_key_was_to():
    """From now on; where something else is said, until then."""
    old = {**OLD, "expires_at": moment_text(NOW + 10 * DAY)}
    assert successor(old, NOW, DAY, None, NOW - 20 * DAY)[0].expires_at == NOW + 30 * DAY
    assert successor(old, NOW, DAY, NOW + 1)[0].expires_at == NOW + 1
    with pytest.raises(IssueError) as raised:
        successor(old, NOW, DAY)
    assert raised.value.field == "expires"


def test_an_overlap_does_not_make_a_key_live_longer():
    """A key that ends before the overlap does ends when it would have."""
    assert successor({**OLD, "expires_at": NOW + 5}, NOW, DAY, NOW + DAY)[1]["expires_at"] == NOW + 5
    assert successor(OLD, NOW, 0.0)[1]["expires_at"] == NOW


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", NOW + 90 * DAY),
        ("1h30m", NOW + 5400),
        ("2031-01-31", 1927584000.0),
        ("2031-01-31T12:00:00Z", 1927627200.0),
        ("1927584000", 1927584000.0),
    ],
)
def test_when_a_key_ends(text, expected):
    """A time from now on, or a date."""
    assert ending(text, NOW) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "0s", "2020-01-01", "90", "-5d", "9999999999999", "9" * 400 + "d"]
)
def test_when_no_key_ends(text):
    """Neither in the past, nor at what is no time."""
    with pytest.raises(IssueError):
        ending(text, NOW)


def test_what_a_key_is_named_by():
    """Its id, or all of it where it is whole."""
    key = KeyText.make("live")
    assert named(key.text) == named(key.id) == key.id
    with pytest.raises(IssueError) as raised:
        named(key.text[:-1])
    assert key.text[:-1] not in str(raised.value)


def test_a_key_in_a_list():
    """Whose, what for, until when; no hash."""
    told = described("id", {**OLD, "expires_at": NOW}, {"username": "ann"}, NOW, last_used=5.0)
    assert told == {
        "id": "id",
        "key_id": "abcdefghijkl",
        "kind": "issued",
        "name": "ci",
        "consumer": {"id": "c", "username": "ann"},
        "scopes": ["a"],
        "tags": ["t"],
        "state": "expired",
        "created_at": None,
        "expires_at": NOW,
        "last_used_at": 5.0,
    }
    assert is_meant(told, "abcdefghijkl")
    assert is_meant(told, "ID")
    assert not is_meant(told, "ABCDEFGHIJKL")
    assert described("id", {"hash": "h"}, None, NOW)["kind"] == "hashed"
    assert described("id", {"key": "k"}, None, NOW)["kind"] == "plain"
