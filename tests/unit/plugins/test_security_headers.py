"""security-headers: what browsers are told."""

from __future__ import annotations

import pytest
from plugin_case import exchange, make
from pydantic import ValidationError

from proxyd.http1.headers import Headers
from proxyd.plugins.security_headers import SecurityHeaders

DEFAULT = {
    "content-security-policy": "default-src 'self'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
}
NOTHING = {
    "hsts": False,
    "content_security_policy": "",
    "content_type_nosniff": False,
    "frame_options": "",
    "referrer_policy": "",
}


def told(*fields, scheme="http", **config):
    """Return the headers of an answer that had these."""
    asked = exchange()
    asked.scheme = scheme
    headers = Headers.of(fields)
    make(SecurityHeaders, **config).header_filter(asked, 200, headers)
    return {name.decode(): value.decode() for name, value in headers}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hsts_preload": True}, "hsts_preload needs"),
        ({"hsts_preload": True, "hsts_include_subdomains": True, "hsts_max_age": 300}, "hsts_preload needs"),
        ({"content_security_policy": "default-src 'self'\nx"}, "not the value of a header"),
        ({"permissions_policy": "camera=()\r\nx"}, "not the value of a header"),
        ({"frame_options": "ALLOW-FROM https://a"}, "DENY"),
        ({"referrer_policy": "none"}, "no-referrer"),
    ],
)
def test_what_is_refused(config, message):
    """What browsers would not take, and what would break out of a header."""
    with pytest.raises(ValidationError, match=message):
        SecurityHeaders.Config(**config)


def test_what_is_told_unless_asked_otherwise():
    """Over a plain connection nothing of TLS (RFC 6797 section 7.2)."""
    assert told() == DEFAULT
    assert told(scheme="https") == DEFAULT | {"strict-transport-security": "max-age=31536000"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"hsts": True, "hsts_max_age": 63_072_000, "hsts_include_subdomains": True, "hsts_preload": True},
            {"strict-transport-security": "max-age=63072000; includeSubDomains; preload"},
        ),
        ({"hsts": True, "hsts_max_age": 0}, {"strict-transport-security": "max-age=0"}),
        ({"frame_options": "SAMEORIGIN"}, {"x-frame-options": "SAMEORIGIN"}),
        (
            {"content_security_policy": "default-src *", "content_security_policy_report_only": True},
            {"content-security-policy-report-only": "default-src *"},
        ),
        ({"permissions_policy": "camera=()"}, {"permissions-policy": "camera=()"}),
        ({"cross_origin_opener_policy": "same-origin"}, {"cross-origin-opener-policy": "same-origin"}),
        ({"cross_origin_resource_policy": "same-site"}, {"cross-origin-resource-policy": "same-site"}),
        ({}, {}),
    ],
)
def test_each_setting(config, expected):
    """With the others switched off, it alone is told."""
    assert told(scheme="https", **(NOTHING | config)) == expected


def test_the_upstream_knows_better():
    """Its own values stay, unless they are overridden."""
    own = (b"Content-Security-Policy", b"default-src 'none'")
    assert told(own)["content-security-policy"] == "default-src 'none'"
    assert told(own, override=True) == DEFAULT


def test_what_the_upstream_is_made_of():
    """The headers that tell it are taken out, and those that are listed only."""
    fields = ((b"X-Powered-By", b"Express"), (b"Server", b"nginx"))
    assert told(*fields) == DEFAULT | {"server": "nginx"}
    assert told(*fields, remove=["Server"]) == DEFAULT | {"x-powered-by": "Express"}
