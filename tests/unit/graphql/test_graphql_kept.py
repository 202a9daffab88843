"""Texts that are kept by their hash."""

from __future__ import annotations

import sys

import pytest

from proxyd.graphql.kept import OVERHEAD, Kept, digest_of, is_digest


def size(text):
    return sys.getsizeof(text) + OVERHEAD


def test_the_oldest_are_forgotten():
    """The one that nobody has asked for longest goes first, once there is no room."""
    kept = Kept(3 * size("aaaa"))
    for text in ("aaaa", "bbbb", "cccc"):
        kept.put(text[0], text)
    assert kept.get("a") == "aaaa"
    kept.put("d", "dddd")
    assert [kept.get(key) for key in "abcd"] == ["aaaa", None, "cccc", "dddd"]
    assert repr(kept) == f"<Kept 3 texts, {3 * size('aaaa')} of {3 * size('aaaa')} bytes>"


def test_what_there_is_no_room_for():
    """A text that is larger than all the room throws nothing out; wide characters take their room."""
    kept = Kept(2 * size("aaaa"))
    kept.put("a", "aaaa")
    kept.put("b", "x" * 5000)
    kept.put("c", "\U0001f600" * 200)
    kept.put("a", "aaaa")
    assert len(kept) == 1
    assert kept.size == size("aaaa")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (digest_of("{ a }"), True),
        ("a" * 63, False),
        ("a" * 65, False),
        ("A" * 64, False),
        ("a" * 32 + "g" + "a" * 31, False),
        ("", False),
    ],
)
def test_what_can_be_a_hash(name, answer):
    """It has 64 hexadecimal digits, in small letters."""
    assert is_digest(name) is answer
