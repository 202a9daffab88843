"""Which database is meant, and how connections to it are protected: the URL, then settings, then PostgreSQL's variables."""

from __future__ import annotations

import getpass

import pytest

from proxyd.database.entries import DatabaseError
from proxyd.database.target import Tls, resolve
from proxyd.model.settings import Settings


def target(url="postgresql://", env=None, **settings):
    return resolve(Settings(database=url, **settings), env or {})


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://localhost/x", "disable"),
        ("postgresql://127.0.0.1/x", "disable"),
        ("postgresql:///x?host=/run/pg", "disable"),
        ("postgresql://db.internal/x", "verify-full"),
        ("postgresql://10.0.0.1/x", "verify-full"),
        ("postgresql://localhost,db.internal/x", "verify-full"),
        ("postgresql://db.internal/x?sslmode=prefer", "prefer"),
    ],
)
def test_auto_protects_what_leaves_the_machine(url, mode):
    """Off for sockets and loopback addresses, everything verified for the rest, unless it is said otherwise."""
    assert target(url).tls.mode == mode


def test_the_url_wins_over_settings_and_those_over_variables():
    """Each of TLS's four comes from the first place that has it."""
    env = {"PGSSLMODE": "prefer", "PGSSLROOTCERT": "/e/root", "PGSSLCERT": "/e/cert", "PGSSLKEY": "/e/key"}
    settings = {"pg_ssl_mode": "require", "pg_ssl_root_cert": "/s/root"}
    assert target(env=env).tls == Tls("prefer", "/e/root", "/e/cert", "/e/key")
    assert target(env=env, **settings).tls == Tls("require", "/s/root", "/e/cert", "/e/key")
    query = "sslmode=verify-ca&sslrootcert=/u/root&sslcert=/u/cert&sslkey=/u/key"
    assert target(f"postgresql:///x?{query}", env, **settings).tls == Tls(
        "verify-ca", "/u/root", "/u/cert", "/u/key"
    )


def test_what_the_url_leaves_out_is_the_environments():
    """Host, port, user, password and name come from PostgreSQL's variables."""
    env = {
        "PGHOST": "db.internal",
        "PGPORT": "6000",
        "PGUSER": "u",
        "PGPASSWORD": "geheim",
        "PGDATABASE": "x",
    }
    read = target(env=env)
    assert (read.hosts, read.user, read.password, read.database) == (
        (("db.internal", 6000),),
        "u",
        "geheim",
        "x",
    )
    assert str(read) == "postgresql://u@db.internal:6000/x"
    assert "geheim" not in repr(read)


def test_without_either_it_is_what_is_usual():
    """The port of PostgreSQL on this machine, the user's name, and a database of that name."""
    read = target()
    assert [port for _, port in read.hosts] == [5432]
    assert (read.user, read.database) == (getpass.getuser(), getpass.getuser())
    assert read.tls.mode == "disable"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"PGPORT": "x"}, "the variable PGPORT is no number: 'x'"),
        ({"PGSSLMODE": "allow"}, "the variable PGSSLMODE must be one of auto, disable, "),
    ],
)
def test_a_variable_that_is_wrong_is_named(env, message):
    """A wrong variable is refused, and not passed over."""
    with pytest.raises(DatabaseError, match=message):
        target(env=env)


def test_without_the_setting_there_is_no_database():
    """Whoever asks for one is told what to set."""
    with pytest.raises(DatabaseError, match="no database is configured: set database to"):
        resolve(Settings(), {})
