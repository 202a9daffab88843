"""What is stored of secrets that are only compared."""

from __future__ import annotations

import pytest

from proxyd.clock import Clock
from proxyd.crypto.api_keys import KeyText, Pepper
from proxyd.database.seal import SealError, seal
from proxyd.model.credentials import kong_digest
from proxyd.model.load import settings_of

PEPPER = "0123456789abcdef0123456789abcdef"
KEYS, PASSWORDS = "keyauth_credentials", "basicauth_credentials"
WITH = settings_of("{}", "none", {"PROXYD_KEY_PEPPER": PEPPER})
WITHOUT = settings_of("{}", "none", {})


def test_a_key_becomes_a_hash():
    """One of proxyd's making keeps its id; whatever id another one had before is taken away."""
    pepper, own = Pepper(PEPPER.encode()), KeyText.make("live")
    for key, key_id in (("plain", None), (own.text, own.id)):
        stored = seal(KEYS, {"consumer": "c", "key": key}, WITH)
        assert stored == {"consumer": "c", "key": None, "key_id": key_id, "hash": pepper.seal(key.encode())}


@pytest.mark.parametrize(("key", "settings"), [("plain", WITHOUT), ("pxd_live_mine", WITH)])
def test_a_key_that_cannot_be_hashed_is_refused(key, settings):
    """Without a pepper, or where it could never let anybody in; the reason does not hold it."""
    with pytest.raises(SealError) as raised:
        seal(KEYS, {"key": key}, settings)
    assert raised.value.field == "key"
    assert key not in str(raised.value)


def test_how_long_a_key_lives_becomes_when_it_ends():
    """Or each load would count anew; 0 is for ever, and what is no ttl is left for validation to refuse."""
    before = Clock().time()
    stored = seal(KEYS, {"ttl": 60}, WITH)
    assert stored["ttl"] is None
    assert before + 60 <= stored["expires_at"] <= Clock().time() + 60
    assert seal(KEYS, {"ttl": 0}, WITH) == {"ttl": None, "expires_at": None}
    for wrong in (-1, True, "60", 10**12):
        assert seal(KEYS, {"ttl": wrong}, WITH) == {"ttl": wrong}


def test_a_password_becomes_a_hash():
    """Under the pepper, or without one Kong's digest; one for each consumer."""
    document = {"consumer": "c", "password": "hush"}
    stored = seal(PASSWORDS, document, WITH)
    assert stored == {
        "consumer": "c",
        "password": None,
        "hash": Pepper(PEPPER.encode()).seal_password("hush", "c"),
    }
    assert seal(PASSWORDS, document, WITHOUT)["password"] == kong_digest("hush", "c")


@pytest.mark.parametrize("settings", [WITH, WITHOUT])
def test_a_reference_to_a_key_stays_one(settings):
    """The key stands in the environment, and each load hashes it; of a password, a hash of the reference would be kept."""
    document = {"key": "{vault://env/ann}"}
    assert seal(KEYS, document, settings) == document
    with pytest.raises(SealError, match="give the password"):
        seal(PASSWORDS, {"password": "{vault://env/ann}"}, settings)
