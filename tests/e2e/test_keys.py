"""Keys of proxyd's making, from the command to the upstream: used, rotated, ended, refused."""

from __future__ import annotations

import json
from signal import SIGHUP

import pytest
import yaml
from e2e_command import proxyd
from e2e_gateway import config_for
from e2e_wire import OK

from proxyd.crypto.api_keys import KeyText, Pepper
from proxyd.database.entries import AuditQuery, Author, Change
from proxyd.database.opening import once
from proxyd.model.load import settings_of

PEPPER = "0123456789abcdef0123456789abcdef"
ENV = {"PROXYD_KEY_PEPPER": PEPPER}
ANN = "11111111-1111-4111-8111-111111111111"


def keys(*arguments, file, code=0, env=ENV):
    """Run a verb of keys about a file; returns the result."""
    done = proxyd("keys", *arguments, "--config", str(file), env=env)
    assert done.returncode == code, done.stderr
    return done


def config(port, *credentials, **key_auth):
    found = config_for(port)
    found["plugins"] = [{"name": "key-auth", "config": key_auth}]
    found["consumers"] = [{"username": "ann", "keyauth_credentials": list(credentials)}]
    return found


def snippet(text):
    """Return the credential that is to be put into the file."""
    (consumer,) = yaml.safe_load(text)["consumers"]
    assert consumer.pop("username") == "ann"
    (credential,) = consumer["keyauth_credentials"]
    return credential


def get(key):
    return f"GET / HTTP/1.1\r\nHost: h\r\napikey: {key}\r\n\r\n".encode()


async def status_of(raw, port, key, times=1):
    """Ask over so many connections, and return the one status that all of them got."""
    statuses = {(await (await raw(port)).ask(get(key))).status for _ in range(times)}
    (status,) = statuses
    return status


async def test_a_key_from_the_command_to_the_upstream(gang, origin, raw, tmp_path):
    """What the command prints goes into the file, and lets its consumer in at every worker; the backend hears its scopes."""
    upstream = await origin(OK)
    file = tmp_path / "start.json"
    file.write_text(json.dumps(config(upstream.port, scopes_required=["read"])))
    made = json.loads(keys("create", "--consumer", "ann", "--scope", "read", "--json", file=file).stdout)
    other = json.loads(keys("create", "--consumer", "ann", "--json", file=file).stdout)
    credentials = [snippet(one["left_to_do"]) for one in (made, other)]
    one = await gang(config(upstream.port, *credentials, scopes_required=["read"]), **ENV)
    assert await status_of(raw, one.port, made["key"], times=8) == 200
    assert upstream.requests[-1]["X-Credential-Scopes"] == "read"
    assert await status_of(raw, one.port, other["key"]) == 403
    assert await status_of(raw, one.port, made["key"][:-1] + "!") == 401
    assert await status_of(raw, one.port, KeyText.make("live").text) == 401
    told = keys("list", "--json", file=one.file)
    assert [key["key_id"] for key in json.loads(told.stdout)] == [made["key_id"], other["key_id"]]
    assert credentials[0]["hash"] not in told.stdout


async def test_a_key_is_rotated_in_the_file(gang, origin, raw, tmp_path):
    """Old and new one are good for the overlap; then, or without one, the old one is unknown. Revoked, the new one is."""
    upstream = await origin(OK)
    file = tmp_path / "start.json"
    file.write_text(json.dumps(config(upstream.port)))
    made = json.loads(keys("create", "--consumer", "ann", "--json", file=file).stdout)
    first = snippet(made["left_to_do"])
    one = await gang(config(upstream.port, first), workers=1, **ENV)

    async def reload(*credentials):
        one.file.write_text(json.dumps(config(upstream.port, *credentials)))
        one.one.signal(SIGHUP)
        await one.one.event("reloaded")

    for overlap, status in (("1h", 200), ("0", 401)):
        done = keys("rotate", made["key"], "--overlap", overlap, "--json", file=one.file)
        new = json.loads(done.stdout)
        to_add, _, to_change = new["left_to_do"].partition("# And at ")
        assert to_change.startswith(f"{one.file}:1:")
        ended = {**first, **yaml.safe_load(to_change.partition("\n")[2])}
        await reload(ended, snippet(to_add))
        assert await status_of(raw, one.port, new["key"]) == 200
        assert await status_of(raw, one.port, made["key"]) == status
        await reload(first)
    assert "take the credential at" in keys("revoke", made["key"], file=one.file, code=1).stderr
    await reload()
    assert await status_of(raw, one.port, made["key"]) == 401


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "key_pepper is not set"),
        ({"PROXYD_KEY_PEPPER": PEPPER[::-1]}, "was made with another pepper"),
    ],
)
def test_a_wrong_pepper_is_told_before_anybody_is_locked_out(tmp_path, env, words):
    """At the start, with the place of the hash."""
    key = KeyText.make("live")
    stored = {"key_id": key.id, "hash": Pepper(PEPPER.encode()).seal(key.text.encode())}
    file = tmp_path / "kong.json"
    file.write_text(json.dumps(config(9, stored)))
    for verb in ("check", "run"):
        done = proxyd(verb, "--config", str(file), env=env)
        assert done.returncode == 1
        assert words in done.stderr
        assert f"{file}:1:" in done.stderr
        assert Pepper(PEPPER.encode()).fingerprint in done.stderr


def test_what_the_commands_refuse(tmp_path):
    """No pepper, no such consumer, no such key, an end in the past: one line each, and no key."""
    file = tmp_path / "kong.json"
    file.write_text(json.dumps(config(9)))
    for arguments, code, words, env in (
        (("create", "--consumer", "ann"), 1, "PROXYD_KEY_PEPPER", {}),
        (("create", "--consumer", "an"), 1, "there is no consumer an in", ENV),
        (("create", "--consumer", "ann", "--expires", "2020-01-01"), 2, "is over already", ENV),
        (("create", "--consumer", "ann", "--scope", "a b"), 2, "must be printable ASCII", ENV),
        (("rotate", "abcdefghijkl"), 1, "there is no key abcdefghijkl", ENV),
        (("revoke", "pxd_live_x"), 1, "no key: it is not of the form", ENV),
    ):
        done = keys(*arguments, file=file, code=code, env=env)
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_a_key_is_checked_without_anything():
    """Environment, id and checksum, from standard input where no list of processes is to show it."""
    key = KeyText.make("test")
    done = proxyd("keys", "check", "-", input=key.text + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["environment", "test", "id", key.id, "checksum", "right"]
    for wrong in (key.text[:-1] + ("a" if key.text[-1] != "a" else "b"), "pxd_test"):
        done = proxyd("keys", "check", wrong)
        assert (done.returncode, done.stdout) == (1, "")
        assert wrong not in done.stderr.replace("pxd_<env>", "")


def test_the_commands_write_into_the_database(tmp_path):
    """Made, listed, rotated and revoked there, by whoever has its URL; the audit log says who, and holds no hash."""
    env = {**ENV, "PROXYD_DATABASE": f"sqlite:///{tmp_path}/proxyd.db"}
    settings = settings_of("{}", "none", env)

    async def add_ann(store):
        return await store.change(lambda _: [Change("consumers", ANN, {"username": "ann"})], Author("test"))

    async def look(store):
        return await store.contents(), await store.audit(AuditQuery(collection="keyauth_credentials"))

    def run(*arguments, code=0):
        done = proxyd("keys", *arguments, env=env, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        return done

    once(settings, env, {}, add_ann)
    made = json.loads(run("create", "--consumer", "ann", "--scope", "a", "--expires", "2d", "--json").stdout)
    assert (made["stored"], made["consumer"]["username"], made["scopes"]) == (True, "ann", ["a"])
    new = run("rotate", made["key_id"], "--overlap", "1h")
    assert KeyText(new.stdout.strip().encode()).id != made["key_id"]
    (old, fresh) = json.loads(run("list", "--json").stdout)
    assert (old["key_id"], old["created_at"] < old["expires_at"] < fresh["expires_at"]) == (
        made["key_id"],
        True,
    )
    assert run("revoke", made["key"]).stdout == f"revoked: {made['key_id']}\n"
    assert made["key_id"] not in run("list").stdout
    for arguments, words in (
        (("revoke", made["key_id"]), f"there is no key {made['key_id']} in the database"),
        (("create", "--consumer", "eve"), "there is no such consumer"),
    ):
        assert words in run(*arguments, code=1).stderr
    contents, audited = once(settings, env, {}, look)
    assert [one.document["scopes"] for one in contents.entries["keyauth_credentials"].values()] == [["a"]]
    assert {one.author.name for one in audited} == {"proxyd keys"}
    assert "v1:" not in repr([(one.before, one.after) for one in audited])
