"""``proxyd migrate`` on a file: what it prints, does, and refuses."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from proxyd.cli.main import main
from proxyd.database.tables import HEAD


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The file of a database that is configured, and does not exist."""
    monkeypatch.setenv("PROXYD_DATABASE", f"sqlite:///{tmp_path}/p.db")
    monkeypatch.setenv("PROXYD_DECLARATIVE_CONFIG", str(tmp_path / "none.yml"))
    return tmp_path / "p.db"


def test_it_lists_and_then_does_what_is_pending(path, capsys):
    """A dry run makes no file; a second run finds it done."""
    assert main(["migrate", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("0001  pending  Entities, ")
    assert not path.exists()
    assert main(["migrate"]) == 0
    assert capsys.readouterr().out.endswith(f"sqlite:///{path} is at revision {HEAD}\n")
    assert main(["migrate"]) == 0
    assert capsys.readouterr().out == f"sqlite:///{path} is at revision {HEAD}, as it was\n"
    assert main(["migrate", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("0001  done     Entities, ")


def test_what_is_newer_is_refused(path, capsys):
    """The version that has been there is named, and nothing is changed."""
    main(["migrate"])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE proxyd_migrations SET version_num = '9999'")
        connection.execute("UPDATE proxyd_revision SET migrated_by = '7.8.9'")
    connection.close()
    for arguments in (["migrate"], ["migrate", "--dry-run"]):
        assert main(arguments) == 1
        assert "a newer proxyd (7.8.9) has been there; install that one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "off",
            "proxyd: no database is configured: set database to sqlite:///FILE or postgresql://USER@HOST/NAME",
        ),
        (
            "postgresql://u:geheim@h/x?sslmode=no",
            "PROXYD_DATABASE: error: sslmode must be one of auto, disable, ",
        ),
    ],
)
def test_without_a_database_it_says_what_to_set(monkeypatch, tmp_path, capsys, url, message):
    """Whatever else is wrong with the file is not its business."""
    file = tmp_path / "wrong.yml"
    file.write_text('_format_version: "3.0"\nservices: [{host: 7}]\n')
    monkeypatch.setenv("PROXYD_DATABASE", url)
    assert main(["migrate", "--config", str(file)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(message)
    assert told.count("\n") == 1
    assert "geheim" not in told


def test_a_missing_package_is_named(path, monkeypatch, capsys):
    """An installation without the extra is told how to get it."""
    monkeypatch.setattr("proxyd.database.extra.find_spec", lambda name: None if name == "alembic" else True)
    assert main(["migrate"]) == 1
    assert "needs alembic, which is not installed: pip install 'proxyd[database]'" in capsys.readouterr().err


def test_the_command_line_imports_nothing_of_it():
    """Without a database, nobody waits for SQLAlchemy to be imported."""
    code = "import sys, proxyd.cli.main, proxyd.database.opening; print({'sqlalchemy', 'alembic', 'asyncpg'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
