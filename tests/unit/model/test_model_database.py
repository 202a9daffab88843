"""The URL of a database: what it names, and what is wrong with it, without its password."""

from __future__ import annotations

import re

import pytest

from proxyd.model.database import DatabaseUrl, is_local, parse_database


@pytest.mark.parametrize("value", ["off", None, False])
def test_off_is_none(value):
    """Without a database there is no URL."""
    assert parse_database(value) is None


def test_a_file_is_relative_or_absolute():
    """Three slashes and four, as SQLAlchemy has them."""
    assert parse_database("sqlite:///var/p.db") == DatabaseUrl("sqlite", "var/p.db")
    assert parse_database("sqlite:////var/my%20p.db") == DatabaseUrl("sqlite", "/var/my p.db")
    assert str(parse_database("sqlite:////var/p.db")) == "sqlite:////var/p.db"


@pytest.mark.parametrize(
    ("url", "hosts", "user", "password", "name", "options"),
    [
        ("postgresql://", (), "", "", "", {}),
        ("postgres://db/x", (("db", None),), "", "", "x", {}),
        ("postgresql://u:p%40ss@db:6000/x", (("db", 6000),), "u", "p@ss", "x", {}),
        ("postgresql://u@[::1]:6000/x", (("::1", 6000),), "u", "", "x", {}),
        ("postgresql://a:1,b/x", (("a", 1), ("b", None)), "", "", "x", {}),
        ("postgresql:///x?host=/run/pg&port=6", (("/run/pg", 6),), "", "", "x", {}),
        ("postgresql://%2Frun%2Fpg/x", (("/run/pg", None),), "", "", "x", {}),
        ("postgresql:///x?host=a,b&port=1,2", (("a", 1), ("b", 2)), "", "", "x", {}),
        ("postgresql:///?port=7", (("", 7),), "", "", "", {}),
        ("postgresql://db/?dbname=x&user=u&password=p", (("db", None),), "u", "p", "x", {}),
        ("postgresql://db/x?sslmode=require", (("db", None),), "", "", "x", {"sslmode": "require"}),
    ],
)
def test_a_server_is_read_as_libpq_reads_it(url, hosts, user, password, name, options):
    """Login, hosts, name and parameters, each of which may be left out."""
    read = parse_database(url)
    assert (read.hosts, read.user, read.password, read.name, read.options) == (
        hosts,
        user,
        password,
        name,
        options,
    )


def test_nothing_shows_the_password():
    """Neither text nor repr."""
    url = parse_database("postgresql://u:geheim@a:1,b/x?sslmode=require")
    assert str(url) == "postgresql://u@a:1,b/x"
    assert "geheim" not in repr(url)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "must be off, or the URL of a database"),
        ("mysql://u:geheim@db/x", "must be off, or the URL of a database"),
        ("postgresql:geheim", "must be off, or the URL of a database"),
        ("postgresql+asyncpg://u:geheim@db/x", "the URL names no driver"),
        ("sqlite://geheim.db", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "must be a file: nothing else could see a database in memory"),
        ("sqlite:///x.db?mode=ro", "takes no parameters"),
        ("postgresql://u:geheim@db:x/y", "has a port that is no number"),
        ("postgresql:///y?port=99999", "has a port that is no number"),
        ("postgresql:///y?host=a,b&port=1,2,3", "must have one port, or as many as hosts"),
        ("postgresql://u:geheim@db/y?sslmod=off", "has an unknown parameter 'sslmod'"),
        ("postgresql://u:geheim@db/y?sslmode=on", "sslmode must be one of auto, disable, prefer, "),
        ("postgresql://u:geheim@db/y?sslmode", "is no URL: what is special in a password is percent-encoded"),
        ("postgresql://u:[geheim@db/y", "is no URL: what is special in a password is percent-encoded"),
    ],
)
def test_what_is_wrong_is_told_without_the_password(value, message):
    """The message says what, and the hint what would be right."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        parse_database(value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("", True),
        ("/run/postgresql", True),
        ("localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("db.internal", False),
        ("localhost.example.com", False),
    ],
)
def test_what_stays_on_the_machine(host, local):
    """Sockets and loopback addresses do; a name may be anything."""
    assert is_local(host) is local
