"""Certificates as they are loaded: what is refused, and what is warned of."""

from __future__ import annotations

import datetime as dt
import json
import os

import pytest
import trustme

from proxyd.cli.config import plugin_configs
from proxyd.downstream import tls
from proxyd.downstream.certificates import Certificates, patterns
from proxyd.errors import ConfigError
from proxyd.model.load import load_text
from proxyd.process.tls import load_material, stamp

NOW = dt.datetime.now(dt.UTC)
ONE = "3a4f2c1e-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def pair(authority, days=90, **options):
    issued = authority.issue_cert("api.test", not_after=NOW + dt.timedelta(days=days), **options)
    return {
        "id": ONE,
        "cert": b"".join(blob.bytes() for blob in issued.cert_chain_pems).decode(),
        "key": issued.private_key_pem.bytes().decode(),
    }


def loaded(*certificates, **settings):
    text = json.dumps({"_format_version": "3.0", "certificates": certificates}, indent=1)
    options = {"proxy_listen": "127.0.0.1:0 ssl"} | settings
    return load_text(text, "kong.yml", env={}, plugins=plugin_configs(), overrides=options)


def material(file, before=None):
    return load_material(file, file.settings, NOW.timestamp(), before)


@pytest.mark.parametrize(
    ("days", "told"), [(90, []), (13, ["expires on"]), (-1, ["has expired on"])], ids=["fine", "soon", "late"]
)
def test_a_certificate_at_its_end_is_warned_of(authority, days, told):
    """It is used all the same; the warning has its place in the file, and its name."""
    found = material(loaded(pair(authority, days))).warnings
    assert [str(one.place) for one in found] == ["kong.yml:4:3"] * len(told)
    assert all(
        f"the certificate of api.test {words}" in str(one) for one, words in zip(found, told, strict=True)
    )


def test_a_certificate_of_tomorrow_is_warned_of(authority):
    """Clients would refuse it today."""
    one = pair(authority, not_before=NOW + dt.timedelta(days=1))
    assert "is not valid before" in str(material(loaded(one)).warnings[0])


def test_pairs_that_do_not_fit_are_refused(authority, tmp_path):
    """With the place of the entity and, where they are files, their paths; the key is not shown."""
    one, other = pair(authority), pair(authority)
    path = tmp_path / "site.key"
    path.write_text(other["key"])
    with pytest.raises(ConfigError) as refused:
        material(loaded({**one, "key": str(path)}))
    (problem,) = refused.value.problems
    assert str(problem) == (
        f"kong.yml:4:3: certificates[{ONE}]: {path}: certificate is not usable: the key is not the certificate's"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ssl_cert": "/nowhere.pem", "ssl_cert_key": "/nowhere.key"}, "/nowhere.pem: No such file"),
        ({"ssl_cipher_suite": "custom", "ssl_ciphers": "NOTHING"}, "OpenSSL knows none of these suites"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings, message):
    """Whatever the file holds."""
    with pytest.raises(ConfigError, match=message):
        material(loaded(**settings))


@pytest.mark.parametrize("settings", [{"ssl_cipher_suite": "custom"}, {"ssl_ciphers": "HIGH"}])
def test_custom_suites_and_their_list_need_each_other(settings):
    """A list that has no effect is told at load."""
    with pytest.raises(ConfigError, match="need each other"):
        loaded(**settings)


def test_what_stays_the_same_keeps_its_context(authority):
    """And with it the sessions that clients have; another certificate has a context of its own."""
    one = pair(authority)
    before = material(loaded(one)).certificates
    same = material(loaded(one), before).certificates
    other = material(loaded(pair(authority)), before).certificates
    assert set(same.contexts.values()) == set(before.contexts.values())
    assert len(set(other.contexts.values()) & set(before.contexts.values())) == 1  # that of the default


def test_whose_certificate_was_seen_last_is_remembered(authority, monkeypatch):
    """What a context knows of clients is bounded, and the one that has not come for longest is forgotten."""
    monkeypatch.setattr(tls, "MAX_REMEMBERED", 2)
    (context, *_) = material(loaded(pair(authority))).certificates.contexts.values()
    for leaf in (b"a", b"b", b"a", b"c"):
        context.remember(leaf, frozenset({leaf}))
    assert [context.recall(leaf) for leaf in (b"a", b"b", b"c")] == [{b"a"}, frozenset(), {b"c"}]


def test_files_are_stamped_and_texts_are_not(authority, tmp_path):
    """The stamp changes with the file; one that is not there has none."""
    one = pair(authority)
    path = tmp_path / "site.pem"
    path.write_text(one["cert"])
    file = loaded({**one, "cert": str(path)}, trusted_certificate="/nowhere/ca.pem")
    before = stamp(file.configuration, file.settings)
    assert before.keys() == {str(path), "/nowhere/ca.pem"}
    assert before["/nowhere/ca.pem"] is None
    path.write_text(one["cert"] + "\n")
    assert stamp(file.configuration, file.settings)[str(path)] != before[str(path)]


def test_a_link_that_is_swapped_is_a_change(authority, tmp_path):
    """Kubernetes' way: the same name, size and time, behind another directory."""
    one = pair(authority)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "site.pem").write_text(one["cert"])
        os.utime(tmp_path / name / "site.pem", (0, 0))
    data = tmp_path / "data"
    data.symlink_to("a")
    file = loaded({**one, "cert": str(data / "site.pem")})
    before = stamp(file.configuration, file.settings)
    (tmp_path / "fresh").symlink_to("b")
    (tmp_path / "fresh").replace(data)
    assert stamp(file.configuration, file.settings) != before


def test_names_are_matched_by_patterns():
    """The most exact first, whatever the case."""
    assert patterns("A.b.Test") == ("a.b.test", "*.b.test", "a.b.*", "*")
    assert (
        repr(Certificates(None, {"b": None, "a": None}, frozenset("*"), {}))
        == "<Certificates ['a', 'b'] asks=['*']>"
    )
