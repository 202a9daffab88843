"""``proxyd config`` on a database: what a file says is there afterwards, in one revision, or nothing is."""

from __future__ import annotations

import json
import sqlite3
import stat

import pytest
from e2e_command import proxyd

FILE = """
_format_version: "3.0"
services:
- name: shop
  url: http://10.0.0.1:3000/base
  routes:
  - {name: orders, paths: [/orders]}
  plugins: [{name: rate-limiting, config: {minute: 5, policy: redis, redis: {host: r, password: hush-hush}}}]
consumers:
- username: ann
  keyauth_credentials: [{key: a-very-secret-key}]
  basicauth_credentials: [{username: ann, password: hush-hush}]
  jwt_secrets: [{key: k, secret: "{vault://env/ann-secret}"}]
"""

HUGE = "{name: rate-limiting, config: {minute: 99999999999999999999999999}}"


@pytest.fixture
def run(tmp_path):
    """Give what runs a verb on a database, the first one or another."""
    (tmp_path / "settings.yml").write_text('_format_version: "3.0"\n')

    def start(verb, *arguments, text=None, database="first", **env):
        file = []
        if text is not None:
            (tmp_path / "kong.yml").write_text(text)
            file = [str(tmp_path / "kong.yml")]
        env = {
            "PROXYD_DATABASE": f"sqlite:///{tmp_path / database}.db",
            "PROXYD_KEY_PEPPER": "0123456789abcdef0123456789abcdef",
            "ANN_SECRET": "a-secret-of-thirty-two-bytes-long",
            **env,
        }
        return proxyd("config", verb, *file, "--config", str(tmp_path / "settings.yml"), *arguments, env=env)

    return start


def test_a_file_is_applied_to_a_database_in_one_revision(run, tmp_path):
    """Then there is nothing to change; a dump of it makes the same of another database, byte for byte."""
    done = run("apply", text=FILE)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "7 created"), done.stderr
    with sqlite3.connect(tmp_path / "first.db") as database:
        assert database.execute("SELECT max(revision) FROM proxyd_revision").fetchone() == (1,)
    database.close()
    assert run("diff", text=FILE).stdout == "nothing to change\n"
    output = tmp_path / "dump.yml"
    dumped = run("dump", "--output", str(output))
    assert dumped.returncode == 0, dumped.stderr
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    text = output.read_text()
    assert "a-very-secret-key" not in text
    assert "{vault://env/ann-secret}" in text
    assert run("apply", text=text, database="second").returncode == 0
    assert run("dump", database="second").stdout == text
    assert run("diff", text=FILE, database="second").returncode == 0


def test_a_difference_is_told_without_its_secrets(run):
    """For people and for programs, with exit code 2."""
    run("apply", text=FILE)
    changed = FILE.replace("minute: 5", "minute: 6").replace("hush-hush", "hush-too").replace("ann", "bob")
    told = run("diff", text=changed, BOB_SECRET="x" * 32)
    assert told.returncode == 2
    assert "+ create consumer bob" in told.stdout
    assert "- delete consumer ann" in told.stdout
    assert "hush" not in told.stdout + told.stderr
    told = run("diff", "--json", text=changed)
    assert told.returncode == 2
    assert "hush" not in told.stdout
    document = json.loads(told.stdout)
    assert document["summary"] == {"create": 2, "update": 3, "delete": 2}
    plugin = next(one for one in document["changes"] if one["collection"] == "plugins")
    assert plugin["after"]["config"]["redis"]["password"] == "<hidden>"


def test_nothing_is_written_of_what_would_not_load(run):
    """Why is told as of a file; and neither is anything deleted without leave."""
    run("apply", text=FILE)
    wrong = run("apply", "--yes", text=FILE.replace("minute: 5", "minut: 5").replace("/orders", "/items"))
    assert wrong.returncode == 1
    assert "minut" in wrong.stderr
    for unusable in ("services: [{name: s, url: 'memory://nobody'}]", f"plugins: [{HUGE}]"):
        refused = run("apply", "--yes", text=f'_format_version: "3.0"\n{unusable}\n')
        assert refused.returncode == 1
        assert "error: " in refused.stderr
        assert "Traceback" not in refused.stderr
    assert run("diff", text=FILE).returncode == 0
    refused = run("apply", text='_format_version: "3.0"\n')
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    assert run("diff", text=FILE).returncode == 0
    gone = run("apply", "--yes", text='_format_version: "3.0"\n')
    assert (gone.returncode, gone.stdout.splitlines()[-1]) == (0, "7 deleted")
    assert run("dump").stdout == '_format_version: "3.0"\n'
