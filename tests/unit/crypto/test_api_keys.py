"""API keys: what is one, what is not, and what is kept of it."""

from __future__ import annotations

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.crypto.api_keys import (
    SCANNED,
    SEALED,
    KeyText,
    KeyTextError,
    Pepper,
    fingerprint_of,
)

KNOWN = "pxd_live_0123456789Ab_0123456789ABCDEFGHIJabcdefghijZz_"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base62(number):
    return "".join(ALPHABET[number // 62**place % 62] for place in range(5, -1, -1))


def test_the_form_is_the_one_that_is_documented():
    """The checksum is the CRC-32 of all before its underscore, in base 62 and six characters."""
    text = KNOWN + base62(zlib.crc32(KNOWN[:-1].encode()))
    one = KeyText(text.encode())
    assert (one.environment, one.id, one.text) == ("live", "0123456789Ab", text)


@given(st.from_regex(r"[a-z0-9]{1,16}", fullmatch=True))
def test_what_is_made_is_read(environment):
    """A new key is read as it was made, found by scanners in the middle of a text, and shown by no repr."""
    made = KeyText.make(environment)
    read = KeyText(made.text.encode())
    assert (read.environment, read.id, read.text) == (environment, made.id, made.text)
    assert re.findall(SCANNED, f'key="{made.text}";') == [made.text]
    assert made.text not in repr(made)
    assert repr(made) == f"<KeyText {environment} {made.id}>"


def test_no_two_are_the_same():
    """Neither ids nor secrets repeat."""
    made = [KeyText.make("test") for _ in range(500)]
    assert len({one.id for one in made}) == len({one.text.split("_")[3] for one in made}) == 500


@given(st.integers(0, 60), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(place, character):
    """Whatever is mistyped is no key, and the reason does not hold what was typed."""
    text = KeyText.make("live").text
    place %= len(text)
    typed = text[:place] + character + text[place + 1 :]
    if typed == text:
        return
    with pytest.raises(KeyTextError) as raised:
        KeyText(typed.encode())
    assert typed not in str(raised.value)


@given(st.binary(max_size=100))
def test_other_bytes_are_no_key(text):
    """Whatever comes is a key or a KeyTextError."""
    with pytest.raises(KeyTextError):
        KeyText(b"pxd_" + text)


@pytest.mark.parametrize("end", ["\n", " ", "x", "_"])
def test_nothing_stands_behind_a_key(end):
    """A line end neither."""
    with pytest.raises(KeyTextError):
        KeyText((KeyText.make("live").text + end).encode())


def test_what_is_kept_tells_nothing_of_the_key():
    """A pepper's fingerprint, and an HMAC that is another one under another pepper, for another key, of a password."""
    one, other = Pepper(b"a" * 32), Pepper(b"b" * 32)
    key = KeyText.make("live").text.encode()
    sealed = one.seal(key)
    assert SEALED.fullmatch(sealed)
    assert fingerprint_of(sealed) == one.fingerprint != other.fingerprint
    assert sealed == one.seal(key)
    seals = {sealed, other.seal(key), one.seal(key + b"a"), one.seal_password(key.decode(), "")}
    assert len({seal.rpartition(":")[2] for seal in seals}) == 4
    assert one.seal_password("a", "bc") != one.seal_password("ab", "c")
    assert repr(one) == f"Pepper(fingerprint='{one.fingerprint}')"


@pytest.mark.parametrize("text", ["", "v1:", "v2:0123456789ab:" + "0" * 64, "v1:0123456789ab:" + "0" * 63])
def test_what_is_not_sealed_has_no_fingerprint(text):
    """Neither what is of another version."""
    assert fingerprint_of(text) == ""
