"""Loading as a whole: where texts come from, what identifies entities, what warns."""

from __future__ import annotations

import gc
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from proxyd.errors import ConfigError
from proxyd.model.load import load

ROUTE = "routes: [{name: r, paths: [/]}]\n"


def warnings(loaded):
    return [str(warning) for warning in loaded.warnings]


def test_a_file_that_is_not_there_is_a_problem_with_its_name(tmp_path, registry):
    """What the operating system says is told in the form of every other problem."""
    with pytest.raises(ConfigError, match=r"nowhere.yml: cannot be read: No such file or directory$"):
        load(tmp_path / "nowhere.yml", env={}, plugins=registry)


def test_a_file_must_be_utf_8_and_may_begin_with_a_mark(tmp_path, registry):
    """Other encodings are refused by name; a byte order mark is no part of the text."""
    file = tmp_path / "kong.yml"
    file.write_bytes('_format_version: "3.0"\n_comment: café\n'.encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8: byte 36"):
        load(file, env={}, plugins=registry)
    file.write_bytes(b'\xef\xbb\xbf_format_version: "3.0"\n')
    assert load(file, env={}, plugins=registry).format_version == "3.0"


def test_the_format_may_be_a_number(registry, tmp_path):
    """Quotes around the version are often forgotten."""
    file = tmp_path / "kong.yml"
    file.write_text("_format_version: 2.1\n")
    assert load(file, env={}, plugins=registry).format_version == "2.1"


def test_the_same_text_has_the_same_hash(load_yaml):
    """The hash tells whether a file changed."""
    assert load_yaml(ROUTE).hash == load_yaml(ROUTE).hash != load_yaml(ROUTE + "\n").hash


def test_names_give_ids_that_survive_moving_about(load_yaml):
    """An id is derived from the name, not from the place; a given one is kept."""
    first = load_yaml("services: [{name: a, host: h}, {name: b, host: h}]\n").configuration.services
    second = load_yaml("services: [{name: b, host: i}, {name: a, host: i}]\n").configuration.services
    assert list(first) == list(reversed(second))
    given = "1F2E3D4C-0000-4000-8000-000000000001"
    assert list(load_yaml(f"services: [{{id: {given}, host: h}}]\n").configuration.services) == [
        given.lower()
    ]


def test_entities_without_a_name_are_told_apart(load_yaml):
    """Routes without names have ids by their contents, twins included."""
    text = "routes: [{paths: [/a]}, {paths: [/b]}, {paths: [/a]}]\n"
    assert len(load_yaml(text).configuration.routes) == 3
    assert list(load_yaml(text).configuration.routes) == list(load_yaml(text).configuration.routes)


def test_ids_tell_nothing_of_keys(load_yaml):
    """A credential's id is sent to backends, and is the same whatever the key is."""
    text = "consumers: [{username: a, keyauth_credentials: [{key: %s}]}]\n"
    ids = [list(load_yaml(text % key).configuration.keyauth_credentials) for key in ("one", "two")]
    assert ids[0] == ids[1]


def test_remarks_and_times_are_dropped(load_yaml):
    """``_comment``, ``_ignore``, created_at and updated_at may stand in any entity."""
    text = "services: [{host: h, _comment: '${{ env \"X\" }}', _ignore: [1], created_at: 1, updated_at: 2}]\n"
    (service,) = load_yaml(text).configuration.services.values()
    assert service.host == "h"


def test_nothing_at_all_is_a_configuration(load_yaml):
    """Empty and null collections are fine."""
    assert load_yaml("services:\nroutes: []\nconsumer_groups: []\nplugins: null\n").configuration.routes == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("_konnect: {}\n", ["kong.yml:2:1: _konnect: ignored: it is meant for other tools"]),
        ("keys: [{name: k}]\n", ["kong.yml:2:1: keys: ignored: no plugin of proxyd uses it"]),
        (
            "services: [{host: h, port: 81, url: 'http://h:80/', path: /a}]\n",
            ["kong.yml:2:37: services[0].url: the url wins over port, path"],
        ),
        (
            "services: [{url: 'https://h'}, {url: 'https://i'}, {url: 'https://j', tls_verify: true}]\n",
            [
                (
                    "kong.yml:2:18: services[0].url: the backend's certificate is not verified: tls_verify is off"
                    " (and in 1 more places)"
                ),
            ],
        ),
        ("services: [{url: 'https://h'}]\nproxyd: {tls_verify: on}\n", []),
        (
            "routes: [{paths: [/], path_handling: v1, request_buffering: true, response_buffering: false}]\n",
            [
                (
                    "kong.yml:2:38: routes[0].path_handling: v1 is honoured here; Kong's traditional_compatible router"
                    " ignores it"
                ),
                (
                    "kong.yml:2:61: routes[0].request_buffering: request_buffering has no effect: bodies are always"
                    " streamed"
                ),
            ],
        ),
        (
            "services: [{name: s, host: h, protocol: grpc, routes: [{protocols: [grpc], paths: [/]}]}]\n",
            [
                (
                    "kong.yml:2:41: services[0].protocol: gRPC needs HTTP/2, which is not spoken: its calls will fail"
                    " (and in 1 more places)"
                ),
            ],
        ),
        ("plugins: [{name: key-auth, protocols: [grpc, grpcs, http, https, tcp, tls, udp]}]\n", []),
        (
            "plugins: [{name: key-auth, protocols: [tcp, tls, tls_passthrough, udp]}]\n",
            [
                (
                    "kong.yml:2:39: plugins[0].protocols: the plugin never runs: streams other than HTTP's are not"
                    " carried"
                ),
            ],
        ),
        (
            "plugins: [{name: openid-connect, enabled: false}]\n",
            [
                "kong.yml:2:18: plugins[0].name: there is no plugin 'openid-connect'; it is disabled and left out"
            ],
        ),
        (
            "plugins: [{name: zipkin}]\nproxyd: {unknown_plugins: warn}\n",
            ["kong.yml:2:18: plugins[0].name: there is no plugin 'zipkin': left out"],
        ),
        (
            "consumers: [{username: a, keyauth_credentials: [{key: $ANON_KEY}, {key: '${OTHER_KEY}'}]}]\n",
            [
                f"kong.yml:2:{column}: consumers[0].keyauth_credentials[{index}].key: looks like a placeholder and"
                " is taken literally (set PROXYD_EXPAND_ENV=on to have ${NAME} resolved)"
                for column, index in ((55, 0), (73, 1))
            ],
        ),
        (
            "consumers: [{username: a, jwt_secrets: [{key: a, secret: short}, {key: b}]}]\n",
            [
                (
                    "kong.yml:2:58: consumers[0].jwt_secrets[0].secret: the secret is short: HS256 wants 32 bytes"
                    " (RFC 7518 section 3.2)"
                ),
                (
                    "kong.yml:2:66: consumers[0].jwt_secrets[1].algorithm: there is no secret, so no token can be verified;"
                    " Kong would invent one"
                ),
            ],
        ),
        (
            "proxyd: {proxy_listen: '0.0.0.0:8443 http2 ssl'}\n",
            ["kong.yml:2:24: proxyd.proxy_listen: http2 is not offered: clients are answered in HTTP/1.1"],
        ),
        (
            "proxyd: {proxy_listen: '0.0.0.0:8000 proxy_protocol'}\n",
            [
                (
                    "kong.yml:2:24: proxyd.proxy_listen: PROXY headers are read, and their addresses not used"
                    " (real_ip_header: proxy_protocol, with trusted_ips)"
                ),
            ],
        ),
        ("proxyd: {proxy_listen: '0.0.0.0:8000 proxy_protocol', real_ip_header: proxy_protocol}\n", []),
    ],
)
def test_what_is_accepted_with_a_warning(load_yaml, text, expected):
    """What does not mean what it seems to is told, and does not stand in the way."""
    assert warnings(load_yaml(text)) == expected


def test_a_weak_key_is_told(load_yaml):
    """An RSA key of a size that has been broken; Kong takes it, so it is taken here."""
    weak = rsa.generate_private_key(65537, 1024).public_key()
    text = weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    secret = {"key": "a", "algorithm": "RS256", "rsa_public_key": text}
    loaded = load_yaml(json.dumps({"consumers": [{"username": "a", "jwt_secrets": [secret]}]})[1:-1])
    assert "the key is weak: it has 1024 bits" in warnings(loaded)[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "proxyd: {real_ip_header: proxy_protocol}\n",
            "needs proxy_protocol among the flags of proxy_listen",
        ),
        ("proxyd: {status_listen: 'h:1 proxy_protocol'}\n", "proxy_protocol is read on proxy_listen only"),
    ],
)
def test_proxy_headers_are_read_where_clients_connect(load_yaml, text, message):
    """A setting that could not do what it says is refused."""
    with pytest.raises(ConfigError, match=message):
        load_yaml(text)


def test_plugins_left_out_are_not_in_the_configuration(load_yaml):
    """A plugin that proxyd does not have, allowed by its setting, leaves no trace."""
    loaded = load_yaml("plugins: [{name: zipkin}, {name: cors}]\n", {"PROXYD_UNKNOWN_PLUGINS": "warn"})
    assert [plugin.name for plugin in loaded.configuration.plugins.values()] == ["cors"]
    assert set(loaded.plugin_configs) == set(loaded.configuration.plugins)


def test_a_large_file_leaves_the_collector_as_it_was(load_yaml):
    """The cyclic collector is paused during a load, and runs again after a good and a bad one."""
    load_yaml(ROUTE)
    assert gc.isenabled()
    with pytest.raises(ConfigError):
        load_yaml("routes: [{}]\n")
    assert gc.isenabled()


def test_ten_thousand_routes_and_consumers_are_all_there(load_yaml):
    """A large file is decoded entity by entity, with every reference resolved."""
    count = 10_000
    text = "services: [{name: s, host: h}]\nroutes:\n"
    text += "".join(f"- {{name: r{i}, paths: [/r{i}], service: s}}\n" for i in range(count)) + "consumers:\n"
    text += "".join(f"- {{username: c{i}, keyauth_credentials: [{{key: k{i}}}]}}\n" for i in range(count))
    configuration = load_yaml(text).configuration
    assert (len(configuration.routes), len(configuration.keyauth_credentials)) == (count, count)
    assert {route.service for route in configuration.routes.values()} == set(configuration.services)


KEY = "consumers: [{username: a, keyauth_credentials: [{key: k, %s}]}]\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1893456000", 1_893_456_000),
        ("1893456000.5", 1_893_456_000.5),
        ("'1893456000'", 1_893_456_000),
        ("2030-01-01T00:00:00Z", 1_893_456_000),
        ("2030-01-01T01:00:00+01:00", 1_893_456_000),
        ("2030-01-01 00:00:00", 1_893_456_000),
        ("2030-01-01", 1_893_456_000),
    ],
)
def test_when_a_key_ends(load_yaml, given, expected):
    """Seconds since the epoch, or a date, which is in UTC where it does not say."""
    (credential,) = load_yaml(KEY % f"expires_at: {given}").configuration.keyauth_credentials.values()
    assert credential.expires_at == expected


@pytest.mark.parametrize(
    "given", ["soon", "true", "[]", "-1", "1893456000000", "2030-13-01", "''", ".nan", ".inf"]
)
def test_when_no_key_ends(load_yaml, given):
    """Anything else is refused in its place, milliseconds among it."""
    with pytest.raises(ConfigError, match=r"keyauth_credentials\[0\].expires_at: "):
        load_yaml(KEY % f"expires_at: {given}")


def test_a_key_that_lets_nobody_in_is_told(load_yaml):
    """A file with one loads; so does Kong's ttl, which means less than it seems to."""
    assert warnings(load_yaml(KEY % "expires_at: 2020-01-01")) == [
        "kong.yml:2:70: consumers[0].keyauth_credentials[0].expires_at: the key has expired: it lets nobody in"
    ]
    (told,) = warnings(load_yaml(KEY % "ttl: 60"))
    assert "ttl: counts from each load of the file" in told
    assert warnings(load_yaml(KEY % "ttl: 0, expires_at: 2999-01-01")) == []
