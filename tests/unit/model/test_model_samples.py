"""Whole files in the shapes that are found in the wild."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from proxyd.model.listen import Listen

ENV = {
    "BAAS_ANON_KEY": "anon-value",
    "BAAS_ANON_TOKEN": "anon-token",
    "BAAS_PUBLIC_KEY": "public-value",
    "BAAS_SECRET_KEY": "secret-value",
    "BAAS_SERVICE_TOKEN": "service-token",
    "BAAS_SERVICE_KEY": "service-value",
    "BAAS_DASHBOARD": '{"password": "dashboard-value"}',
    "EDGE_KEY": "edge-value",
    "SHOP_READ_TIMEOUT": "15000",
}

COUNTS = {
    "minimal.yml": {"services": 1, "routes": 1},
    "quickstart-2.1.yml": {
        "services": 1,
        "routes": 1,
        "plugins": 2,
        "consumers": 1,
        "keyauth_credentials": 1,
    },
    "baas-1.1.yml": {
        "services": 4,
        "routes": 4,
        "plugins": 8,
        "consumers": 3,
        "keyauth_credentials": 2,
        "basicauth_credentials": 1,
        "acls": 2,
    },
    "baas-keys-2.1.yml": {
        "services": 5,
        "routes": 5,
        "plugins": 10,
        "consumers": 2,
        "keyauth_credentials": 4,
        "acls": 2,
    },
    "deck-dump-3.0.yaml": {
        "services": 1,
        "routes": 1,
        "plugins": 2,
        "consumers": 1,
        "keyauth_credentials": 1,
        "upstreams": 1,
        "targets": 2,
    },
    "deck-dump-1.1.yaml": {"services": 1, "routes": 1, "plugins": 2},
    "export-flat.json": {"services": 1, "routes": 1, "consumers": 2, "plugins": 1},
    "flat-names.yml": {"services": 2, "routes": 4, "plugins": 3},
    "balancing.yml": {"services": 2, "routes": 2, "upstreams": 4, "targets": 5},
    "tls.yml": {"services": 1, "routes": 1, "certificates": 2, "ca_certificates": 1, "snis": 3},
    "anchors.yml": {"services": 2, "routes": 2, "plugins": 2},
    "credentials.yml": {
        "consumers": 1,
        "keyauth_credentials": 3,
        "basicauth_credentials": 1,
        "hmacauth_credentials": 1,
        "jwt_secrets": 2,
        "acls": 2,
        "plugins": 1,
    },
    "scopes.yml": {"services": 1, "routes": 1, "consumers": 1, "plugins": 7},
    "bff-settings.yml": {"services": 2, "routes": 4},
    "konga-2.1.yml": {
        "services": 1,
        "routes": 1,
        "consumers": 1,
        "acls": 1,
        "keyauth_credentials": 1,
        "plugins": 2,
    },
}


def only(collection):
    (value,) = collection.values()
    return value


def named(collection, name):
    (value,) = [each for each in collection.values() if each.name == name]
    return value


@pytest.mark.parametrize("name", COUNTS)
def test_every_entity_of_a_sample_is_found(load_sample, name):
    """A file loads with exactly the entities that it holds, and with ids that are the same each time."""
    loaded = load_sample(name, ENV)
    counts = {
        field.name: len(getattr(loaded.configuration, field.name))
        for field in dataclasses.fields(loaded.configuration)
        if field.name not in {"transform", "places"}
    }
    assert {key: count for key, count in counts.items() if count} == COUNTS[name]
    assert load_sample(name, ENV).configuration == loaded.configuration
    assert len(loaded.hash) == 64


def test_every_sample_is_counted(samples):
    """No sample lies about untested."""
    assert {path.name for path in samples.iterdir() if path.is_file()} == set(COUNTS)


def test_secrets_of_the_stack_come_from_the_environment_and_are_in_no_repr(load_sample):
    """Placeholders of three kinds are resolved; keys and passwords are kept as digests, and nothing secret is shown."""
    loaded = load_sample("baas-1.1.yml", ENV)
    keys = {credential.key for credential in loaded.configuration.keyauth_credentials.values()}
    assert keys == {hashlib.sha256(key).hexdigest() for key in (b"anon-value", b"service-value")}
    basic = only(loaded.configuration.basicauth_credentials)
    assert basic.password == hashlib.sha256(f"{basic.consumer}:dashboard-value".encode()).hexdigest()
    assert not any(value in repr(loaded) for value in ("anon-value", "service-value", "dashboard-value"))


def test_a_url_wins_over_the_protocol(load_sample):
    """``protocol: ws`` beside ``url: http://`` loads as http, with a warning at the url."""
    loaded = load_sample("baas-1.1.yml", ENV)
    service = named(loaded.configuration.services, "realtime-v1-ws")
    assert (service.protocol, service.host, service.port, service.path) == (
        "http",
        "realtime-dev",
        4000,
        "/socket",
    )
    assert [str(w).partition("baas-1.1.yml:")[2] for w in loaded.warnings] == [
        "57:10: services[2].url: the url wins over protocol",
    ]


def test_a_dump_with_nulls_has_kongs_defaults_in_their_place(load_sample):
    """Null is the same as absent, wherever it stands."""
    loaded = load_sample("deck-dump-3.0.yaml")
    route = only(loaded.configuration.routes)
    assert (route.methods, route.headers, route.snis, route.hosts) == (
        None,
        None,
        None,
        ("shop.example.com",),
    )
    assert only(loaded.configuration.services).tls_verify is None
    upstream = only(loaded.configuration.upstreams)
    assert (upstream.healthchecks.active.healthy.interval, upstream.healthchecks.threshold) == (5, 25.5)
    cors = named(loaded.configuration.plugins, "cors")
    assert (cors.route, cors.service) == (route.id, None)
    assert loaded.plugin_configs[cors.id].origins == ["https://shop.example.com"]


def test_what_belongs_to_other_tools_is_ignored_with_a_warning(load_sample):
    """The keys of decK do not stand in the way."""
    paths = [warning.path for warning in load_sample("deck-dump-3.0.yaml").warnings]
    assert paths == ["_info", "_konnect", "_workspace", *paths[3:]]


def test_old_formats_mark_their_regular_expressions(load_sample):
    """In 1.1 and 2.1 a path with an unusual character is a regular expression; in 3.0 only ``~`` makes one."""
    paths = only(load_sample("deck-dump-1.1.yaml").configuration.routes).paths
    assert paths == (r"~/users/\d+/orders", "~/users/(?<id>[a-z]+)", "/plain-path_1.0")
    assert only(load_sample("quickstart-2.1.yml").configuration.routes).paths == ("/echo", "~/v[0-9]+/echo")


def test_json_is_read_with_its_tabs_and_escapes(load_sample):
    """Tabs, escaped slashes and surrogate pairs are JSON's way of writing what YAML writes otherwise."""
    route = only(load_sample("export-flat.json").configuration.routes)
    assert (route.paths, route.tags) == (("/billing",), ("café 😀",))
    assert route.service == "5f6a3a2e-6d0c-4c6d-9a59-0d1d0d1a0a01"


def test_references_reach_forward_and_back(load_sample):
    """A route may name a service that is defined after it."""
    configuration = load_sample("flat-names.yml").configuration
    services = {service.name: service.id for service in configuration.services.values()}
    routes = {route.name: route.service for route in configuration.routes.values()}
    assert routes == {"a": services["one"], "b": services["one"], "c": services["two"], "nobody": None}


def test_something_to_hash_makes_hashing_consistent(load_sample):
    """Setting hash_on flips the algorithm, and a target without a port has Kong's."""
    configuration = load_sample("balancing.yml").configuration
    algorithms = {upstream.name: upstream.algorithm for upstream in configuration.upstreams.values()}
    assert algorithms == {
        "carts": "consistent-hashing",
        "search": "least-connections",
        "sticky": "consistent-hashing",
        "sharded": "consistent-hashing",
    }
    assert [(target.target, target.weight) for target in configuration.targets.values()] == [
        ("10.0.0.1:8000", 100),
        ("10.0.0.2:9000", 50),
        ("[2001:db8::3]:9000", 0),
        ("search-a:9200", 100),
        ("search-b:9200", 100),
    ]


def test_certificates_have_their_names(load_sample):
    """SNIs may be strings or mappings."""
    configuration = load_sample("tls.yml", ENV).configuration
    assert {sni.name: sni.certificate[-1] for sni in configuration.snis.values()} == {
        "api.example.com": "1",
        "*.example.com": "1",
        "partner.example.org": "2",
    }
    assert only(configuration.services).client_certificate[-1] == "2"
    assert "edge-value" not in repr(configuration)


def test_merge_keys_are_taken_over_and_overruled(load_sample):
    """What stands beside a merge key wins over what it brings."""
    configuration = load_sample("anchors.yml").configuration
    timeouts = {s.name: (s.port, s.connect_timeout, s.read_timeout) for s in configuration.services.values()}
    assert timeouts == {"a": (80, 2000, 5000), "b": (8080, 2000, 1000)}
    assert [plugin.enabled for plugin in configuration.plugins.values()] == [True, False]


def test_scopes_are_told_apart(load_sample):
    """Each combination of route, service and consumer is a scope of its own."""
    loaded = load_sample("scopes.yml")
    scopes = {
        loaded.plugin_configs[plugin.id].second: "".join(
            letter
            for letter, value in (("r", plugin.route), ("s", plugin.service), ("c", plugin.consumer))
            if value
        )
        for plugin in loaded.configuration.plugins.values()
    }
    assert scopes == {1: "r", 2: "rc", 3: "rsc", 4: "s", 5: "sc", 6: "c", 7: ""}


def test_the_settings_block_and_its_placeholders_are_read(load_sample):
    """Settings come out of the file, and texts from the environment become numbers where numbers are due."""
    loaded = load_sample("bff-settings.yml", ENV | {"BACKEND_HOST": "10.9.8.7"})
    assert loaded.settings.proxy_listen == (
        Listen("0.0.0.0", 8000),
        Listen("::", 8443, ssl=True, backlog=4096),
        Listen(path="/run/proxyd/proxy.sock"),
    )
    assert loaded.settings.status_listen == ()
    assert loaded.settings.trusted_ips == ("10.0.0.0/8", "unix:")
    service = named(loaded.configuration.services, "api")
    assert (service.host, service.port, service.read_timeout) == ("10.9.8.7", 3000, 15000)
    sockets = named(loaded.configuration.services, "sockets")
    assert (sockets.protocol, sockets.host, sockets.port) == ("ws", "10.9.8.7", 3001)


def test_untransformed_passwords_are_marked(load_sample):
    """``_transform: false`` is kept for whoever compares passwords."""
    assert load_sample("credentials.yml").configuration.transform is False
    assert load_sample("minimal.yml").configuration.transform is True
