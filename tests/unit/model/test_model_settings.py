"""Settings: units, listeners, sources."""

from __future__ import annotations

import pytest

from proxyd.model import units
from proxyd.model.listen import Listen, parse_listen
from proxyd.model.settings import Settings


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60", 60),
        (60, 60),
        ("0.5", 0.5),
        ("60s", 60),
        ("5m", 300),
        ("1h30m", 5400),
        ("20ms", 0.02),
        ("1d", 86400),
        (0, 0),
    ],
)
def test_durations_are_nginxs(text, seconds):
    """A plain number is seconds, and units may be joined."""
    assert units.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "5x", "-1", -1, True, None, "1h x"])
def test_other_durations_are_refused(text):
    """What is no duration is told so."""
    with pytest.raises(ValueError, match="must be a duration"):
        units.duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), (5, 5), ("8k", 8192), ("1M", 1048576), ("2g", 2147483648)]
)
def test_sizes_are_nginxs(text, size):
    """A plain number is bytes."""
    assert units.size(text) == size


@pytest.mark.parametrize("text", ["", "1kb", "1.5m", "-1", -1, True])
def test_other_sizes_are_refused(text):
    """What is no size is told so."""
    with pytest.raises(ValueError, match="must be a size"):
        units.size(text)


@pytest.mark.parametrize(
    ("text", "listens"),
    [
        ("off", ()),
        (False, ()),
        ("0.0.0.0:8000", (Listen("0.0.0.0", 8000),)),
        ("*:80", (Listen("0.0.0.0", 80),)),
        ("[::1]:8443 ssl reuseport", (Listen("::1", 8443, ssl=True, reuseport=True),)),
        ("localhost:0 backlog=16 so_keepalive=on", (Listen("localhost", 0, backlog=16, so_keepalive=True),)),
        ("unix:/run/p.sock proxy_protocol", (Listen(path="/run/p.sock", proxy_protocol=True),)),
        (["127.0.0.1:1", "127.0.0.1:2 ssl"], (Listen("127.0.0.1", 1), Listen("127.0.0.1", 2, ssl=True))),
    ],
)
def test_listeners_are_written_as_in_kong(text, listens):
    """Addresses with flags, separated by commas or in a list."""
    assert parse_listen(text) == listens


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be an address, or off"),
        ("8000", "has no port"),
        ("h:70000", "between 0 and 65535"),
        ("unix:p.sock", "absolute path"),
        ("h:1 tls", "unknown flag 'tls'"),
        ("h:1 backlog=x", "not written so"),
        ("a b:1", "unknown flag"),
        ("a/b:1", "no address to listen on"),
    ],
)
def test_other_listeners_are_refused(text, message):
    """What is wrong with an address is told."""
    with pytest.raises(ValueError, match=message):
        parse_listen(text)


def test_a_listener_shows_as_it_is_written():
    """The text names address and ssl, as people look for them."""
    assert [str(each) for each in parse_listen("[::]:1 ssl, 0.0.0.0:2, unix:/s")] == [
        "[::]:1 ssl",
        "0.0.0.0:2",
        "unix:/s",
    ]


def test_option_wins_over_environment_wins_over_file(load_yaml):
    """The nearer to the command, the stronger."""
    text = "proxyd: {keepalive_requests: 1, worker_connections: 1, send_timeout: 1}\n"
    env = {"PROXYD_KEEPALIVE_REQUESTS": "2", "PROXYD_WORKER_CONNECTIONS": "2"}
    settings = load_yaml(text, env, overrides={"keepalive_requests": 3}).settings
    assert (settings.keepalive_requests, settings.worker_connections, settings.send_timeout) == (3, 2, 1)


def test_a_wrong_option_is_named_as_it_is_given(load_yaml):
    """Problems with an option name the option."""
    with pytest.raises(Exception, match=r"^--log-level: must be one of debug"):
        load_yaml("", overrides={"log_level": "loud"})


def test_unknown_variables_warn_unless_the_file_uses_them(load_yaml):
    """A misspelt setting is told, a variable that is someone's secret is not."""
    text = "services: [{host: '{vault://env/proxyd-backend}'}]\n"
    loaded = load_yaml(
        text, {"PROXYD_BACKEND": "b", "PROXYD_LOG_LEVL": "debug", "OTHER": "x", "KONG_LOG_LEVEL": "x"}
    )
    assert [str(warning) for warning in loaded.warnings] == [
        "PROXYD_LOG_LEVL: no setting has this name (did you mean 'PROXYD_LOG_LEVEL'?)",
    ]
    assert loaded.settings.log_level == "notice"


def test_settings_from_the_environment_are_text(load_yaml):
    """Every kind of setting can be given as a text."""
    env = {
        "PROXYD_TRUSTED_IPS": "10.1.2.3/8, ::1, unix:",
        "PROXYD_REAL_IP_RECURSIVE": "on",
        "PROXYD_CLIENT_MAX_BODY_SIZE": "0",
        "PROXYD_LATENCY_BUDGET": "20ms,40ms",
        "PROXYD_HEADERS": "server_tokens, X-Kong-Upstream-Status",
        "PROXYD_HEADERS_UPSTREAM": "off",
        "PROXYD_DNS_VALID_TTL": "5m",
        "PROXYD_SSL_PROTOCOLS": "TLSv1.3",
        "PROXYD_STATUS_LISTEN": "off",
        "PROXYD_EXPAND_ENV": "on",
    }
    settings = load_yaml("proxyd: {real_ip_header: '${H:-X-Forwarded-For}'}\n", env).settings
    assert settings.trusted_ips == ("10.0.0.0/8", "::1/128", "unix:")
    assert settings.latency_budget == (0.02, 0.04)
    assert settings.headers == ("server", "via", "x-kong-upstream-status")
    assert (settings.headers_upstream, settings.status_listen) == ((), ())
    assert (settings.real_ip_recursive, settings.client_max_body_size, settings.dns_valid_ttl) == (
        True,
        0,
        300,
    )
    assert settings.ssl_protocols == ("TLSv1.3",)
    assert settings.real_ip_header == "X-Forwarded-For"


def test_a_wrong_setting_out_of_the_environment_is_not_shown(problems):
    """A value that a placeholder brought is not repeated, whatever the validator would say."""
    text = "_format_version: '3.0'\nproxyd: {trusted_ips: ['{vault://env/nets}']}\n"
    assert problems(text, {"NETS": "hidden"}) == [
        "kong.yml:2:23: proxyd.trusted_ips: the value from the environment is not of the form that is needed",
    ]


def test_certificates_need_their_keys(problems):
    """Each certificate of a listener has one key."""
    assert problems(
        "_format_version: '3.0'\n", {"PROXYD_SSL_CERT": "a.pem,b.pem", "PROXYD_SSL_CERT_KEY": "a.key"}
    ) == [
        "PROXYD_SSL_CERT: ssl_cert and ssl_cert_key must have one entry each per certificate",
    ]


def test_keys_are_in_no_repr():
    """A key given as PEM is not shown with the other settings."""
    assert "hidden" not in repr(Settings(ssl_cert_key=("hidden",)))


def test_every_setting_has_a_help_line():
    """The documentation and the schema are made of them."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("text", "env", "place"),
    [
        ("proxyd: {apps: {shop: 'a.b:make', pay: 'c:app'}}\n", {}, "kong.yml:2:23"),
        ("", {"PROXYD_APPS": "shop=a.b:make, pay=c:app"}, "PROXYD_APPS"),
    ],
)
def test_applications_are_named_with_their_place(load_yaml, text, env, place):
    """In the file or in the environment; they are imported only later, and errors will want the place."""
    loaded = load_yaml(text, env)
    assert loaded.settings.apps == {"shop": "a.b:make", "pay": "c:app"}
    assert str(loaded.configuration.places["proxyd.apps.shop"]) == place


@pytest.mark.parametrize(
    ("given", "edge"), [("on", "on"), (True, "on"), (False, "off"), ("100ms", 0.1), (2, 2.0)]
)
def test_the_log_of_slow_requests_is_a_switch_or_an_edge(given, edge):
    """A YAML switch, its word, or a duration."""
    assert Settings(slow_request_log=given).slow_request_log == edge


@pytest.mark.parametrize("given", ["soon", "0", 0, None])
def test_other_edges_are_refused(given):
    """Zero would be every request."""
    with pytest.raises(ValueError, match="must be on, off, or a duration"):
        Settings(slow_request_log=given)


@pytest.mark.parametrize(("given", "told"), [(True, "on"), (False, "off"), ("trusted", "trusted")])
def test_server_timing_is_a_switch_with_a_middle(given, told):
    """A YAML switch, or its word."""
    assert Settings(server_timing=given).server_timing == told
