"""mtls-auth: certificates, once a handshake has verified them."""

from __future__ import annotations

import dataclasses

import pytest
from plugin_case import challenge, exchange, kit, make, sent
from pydantic import ValidationError

from proxyd.crypto.certificate import ClientCertificate
from proxyd.plugins.acl import Acl
from proxyd.plugins.mtls_auth import MtlsAuth

ROOT = "3a4f2c1e-0000-4000-8000-000000000001"
OTHER = "3a4f2c1e-0000-4000-8000-000000000002"
AUTHORITIES = {ROOT: b"root", OTHER: b"other"}
ANN = {
    "id": "11111111-1111-4111-8111-111111111111",
    "username": "ann@example.com",
    "acls": [{"group": "staff"}],
}
BOB = {"id": "22222222-2222-4222-8222-222222222222", "username": "bob", "custom_id": "device-7"}
CERTIFICATE = ClientCertificate(
    subject="CN=device-7,O=Ex\\, ample",
    common_name="device-7",
    alternative_names=("nobody.test", "ann@example.com"),
    serial="1f",
    fingerprint="ab" * 32,
    not_after=2_000_000_000.0,
    issuers=frozenset({b"root"}),
)


class FakeClock:
    def __init__(self, time=1_800_000_000.0):
        self.time = lambda: time
        self.now = self.time


def lent(*consumers, time=1_800_000_000.0, **more):
    ca = [{"id": identity, "cert": "/ca.pem"} for identity in AUTHORITIES]
    made = kit(*(consumers or (ANN, BOB)), clock=FakeClock(time), ca_certificates=ca, **more)
    return dataclasses.replace(made, authorities=AUTHORITIES)


def plugin(lent_=None, **config):
    return make(MtlsAuth, lent_ or lent(), ca_certificates=[ROOT], **config)


def shown(certificate=CERTIFICATE, **changes):
    one = exchange()
    one.client.certificate = dataclasses.replace(certificate, **changes) if certificate else None
    return one


# --- configuration -------------------------------------------------------------------------------------------


def test_defaults():
    """Kong's, where there is anything to decide."""
    config = MtlsAuth.Config(ca_certificates=[ROOT])
    assert (config.consumer_by, config.skip_consumer_lookup) == (("username", "custom_id"), False)
    assert (config.authenticated_group_by, config.allow_partial_chain, config.anonymous) == (
        "CN",
        False,
        None,
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "ca_certificates"),
        ({"ca_certificates": []}, "at least 1"),
        ({"ca_certificates": ["ca"]}, "must be a UUID"),
        ({"ca_certificates": [ROOT], "revocation_check_mode": "STRICT"}, "revocation is not checked"),
        (
            {"ca_certificates": [ROOT], "revocation_check_mode": "IGNORE_CA_ERROR"},
            "revocation is not checked",
        ),
        ({"ca_certificates": [ROOT], "send_ca_dn": True}, "cannot send"),
        ({"ca_certificates": [ROOT], "consumer_by": ["email"]}, "consumer_by"),
    ],
)
def test_what_is_refused(values, message):
    """What would promise more than is done."""
    with pytest.raises(ValidationError, match=message):
        MtlsAuth.Config(**values)


def test_ids_are_told_apart_whatever_their_case():
    """As the file's own ids are."""
    assert MtlsAuth.Config(ca_certificates=[ROOT.upper()]).ca_certificates == (ROOT,)


# --- who is let in -------------------------------------------------------------------------------------------


def test_an_alternative_name_wins_before_the_common_one():
    """Though the latter is another consumer's."""
    one = shown()
    assert plugin().access(one) is None
    assert (one.consumer.username, one.credential, one.groups) == ("ann@example.com", None, None)
    assert sent(one)["x-credential-identifier"] == "ann@example.com"


@pytest.mark.parametrize(("by", "username"), [(["custom_id"], "bob"), (["username"], None), ([], None)])
def test_the_common_name_is_looked_for_last(by, username):
    """In what consumer_by says, and nowhere else."""
    one = shown(alternative_names=())
    reply = plugin(consumer_by=by).access(one)
    assert (reply is None, one.consumer and one.consumer.username) == (username is not None, username)


@pytest.mark.parametrize(
    ("authority", "username"), [(None, "bob"), (ROOT, "bob"), (OTHER, "ann@example.com")]
)
def test_credentials_come_before_names(authority, username):
    """A name that is mapped is that consumer's, if the authority of the mapping vouches for it."""
    mapping = {"subject_name": "device-7", **({"ca_certificate": {"id": authority}} if authority else {})}
    one = shown()
    assert plugin(lent(ANN, {**BOB, "mtls_auth_credentials": [mapping]})).access(one) is None
    assert one.consumer.username == username
    assert (one.credential is not None) == (username == "bob")


def test_a_name_may_be_mapped_under_each_authority():
    """The same name from two authorities is two callers."""
    consumers = [
        {**one, "mtls_auth_credentials": [{"subject_name": "x", "ca_certificate": authority}]}
        for one, authority in ((ANN, ROOT), (BOB, OTHER))
    ]
    both = make(MtlsAuth, lent(*consumers), ca_certificates=[ROOT, OTHER])
    for issuer, username in ((b"root", "ann@example.com"), (b"other", "bob")):
        one = shown(common_name="x", alternative_names=(), issuers=frozenset({issuer}))
        assert both.access(one) is None
        assert one.consumer.username == username


@pytest.mark.parametrize(
    ("certificate", "message"),
    [
        (None, "No required TLS certificate was sent"),
        ({"issuers": frozenset()}, "TLS certificate failed verification"),
        ({"issuers": frozenset({b"other"})}, "TLS certificate failed verification"),
        ({"not_after": 1_700_000_000.0}, "TLS certificate failed verification"),
        ({"alternative_names": (), "common_name": "eve"}, "Unauthorized"),
        ({"alternative_names": (), "common_name": ""}, "Unauthorized"),
    ],
    ids=["none", "unknown chain", "another plugin's authority", "expired meanwhile", "nobody", "no name"],
)
def test_everybody_else_is_refused(certificate, message):
    """With the reason that Kong gives."""
    one = shown(None) if certificate is None else shown(**certificate)
    assert challenge(plugin().access(one)) == (401, message, "Certificate")
    assert (one.consumer, one.groups, sent(one)) == (None, None, {})


def test_an_authority_that_is_not_there_vouches_for_nobody():
    """Whatever handed the plugin its configuration."""
    lost = dataclasses.replace(lent(), authorities={})
    assert plugin(lost).access(shown()).status == 401


def test_a_client_cannot_name_a_certificate():
    """Headers are not looked at."""
    one = exchange((b"X-Client-Cert-Dn", b"CN=device-7"), (b"X-SSL-Client-Verify", b"SUCCESS"))
    assert plugin().access(one).status == 401


def test_anonymous_and_default_consumers():
    """The one for who shows no good certificate, the other for one that is good and nobody's."""
    both = plugin(anonymous="bob", default_consumer="ann@example.com")
    bad, good = shown(None), shown(alternative_names=(), common_name="eve")
    assert both.access(bad) is None
    assert both.access(good) is None
    assert (bad.consumer.username, bad.anonymous) == ("bob", True)
    assert (good.consumer.username, good.anonymous) == ("ann@example.com", False)


@pytest.mark.parametrize(
    ("by", "groups"), [("CN", ("device-7",)), ("DN", ("CN=device-7,O=Ex\\, ample",)), (None, ())]
)
def test_without_consumers_the_subject_is_the_group(by, groups):
    """Acl allows it; the next plugin of an OR sees that somebody is known."""
    one = shown()
    assert plugin(skip_consumer_lookup=True, authenticated_group_by=by).access(one) is None
    assert (one.consumer, one.groups) == (None, groups)
    reply = make(Acl, lent(), allow=["device-7"]).access(one)
    assert (reply is None) == (by == "CN")
    after = plugin(anonymous="bob")
    one.client.certificate = None
    assert after.access(one) is None
    assert not one.anonymous


def test_the_upstream_may_be_told():
    """Names that would look like two are encoded; without the setting nothing is said."""
    one = shown(alternative_names=("a,b", "c"))
    plugin(skip_consumer_lookup=True, forward_certificate=True).access(one)
    assert sent(one) == {
        "x-client-cert-dn": "CN=device-7,O=Ex\\, ample",
        "x-client-cert-san": "a%2Cb, c",
        "x-client-cert-serial": "1f",
        "x-client-cert-fingerprint": "ab" * 32,
    }
    one = shown()
    plugin(skip_consumer_lookup=True).access(one)
    assert sent(one) == {}
