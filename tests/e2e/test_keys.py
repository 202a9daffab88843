"""Keys of proxyd's making, from the command to the upstream: used, rotated, ended, refused."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
from contextlib import redirect_stderr, redirect_stdout
from signal import SIGHUP
from unittest.mock import patch

import httpx
import pytest
import yaml
from e2e_command import proxyd
from e2e_gateway import config_for
from e2e_wire import OK, PATIENCE

from proxyd.cli.main import main
from proxyd.crypto.api_keys import KeyText, Pepper

PEPPER = "0123456789abcdef0123456789abcdef"
ENV = {"PROXYD_KEY_PEPPER": PEPPER}


def keys(*arguments, file, code=0):
    """Run a verb of keys about a file, without a process of its own; returns what it said."""
    out = io.StringIO()
    with patch.dict(os.environ, ENV), redirect_stdout(out), redirect_stderr(out):
        assert main(["keys", *arguments, "--config", str(file)]) == code
    return out.getvalue()


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
    made = json.loads(keys("create", "--consumer", "ann", "--scope", "read", "--json", file=file))
    other = json.loads(keys("create", "--consumer", "ann", "--json", file=file))
    credentials = [snippet(one["left_to_do"]) for one in (made, other)]
    one = await gang(config(upstream.port, *credentials, scopes_required=["read"]), **ENV)
    assert await status_of(raw, one.port, made["key"], times=8) == 200
    assert upstream.requests[-1]["X-Credential-Scopes"] == "read"
    assert await status_of(raw, one.port, other["key"]) == 403
    assert await status_of(raw, one.port, made["key"][:-1] + "!") == 401
    assert await status_of(raw, one.port, KeyText.make("live").text) == 401
    told = keys("list", "--json", file=one.file)
    assert [key["key_id"] for key in json.loads(told)] == [made["key_id"], other["key_id"]]
    assert credentials[0]["hash"] not in told


async def test_a_key_is_rotated_in_the_file(gang, origin, raw, tmp_path):
    """Old and new one are good for the overlap; then, or without one, the old one is unknown. Revoked, the new one is."""
    upstream = await origin(OK)
    file = tmp_path / "start.json"
    file.write_text(json.dumps(config(upstream.port)))
    made = json.loads(keys("create", "--consumer", "ann", "--json", file=file))
    first = snippet(made["left_to_do"])
    one = await gang(config(upstream.port, first), workers=1, **ENV)

    async def reload(*credentials):
        one.file.write_text(json.dumps(config(upstream.port, *credentials)))
        one.one.signal(SIGHUP)
        await one.one.event("reloaded")

    for overlap, status in (("1h", 200), ("0", 401)):
        new = json.loads(keys("rotate", made["key"], "--overlap", overlap, "--json", file=one.file))
        to_add, _, to_change = new["left_to_do"].partition("# And at ")
        assert to_change.startswith(f"{one.file}:1:")
        ended = {**first, **yaml.safe_load(to_change.partition("\n")[2])}
        await reload(ended, snippet(to_add))
        assert await status_of(raw, one.port, new["key"]) == 200
        assert await status_of(raw, one.port, made["key"]) == status
        await reload(first)
    assert "take the credential at" in keys("revoke", made["key"], file=one.file, code=1)
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
    done = proxyd("run", "--config", str(file), env=env)
    assert done.returncode == 1
    assert words in done.stderr
    assert f"{file}:1:" in done.stderr
    assert Pepper(PEPPER.encode()).fingerprint in done.stderr


async def test_keys_in_a_database_count_at_every_worker(gang, origin, raw, tmp_path):
    """Made over the Admin API or by the command, rotated, revoked, over: for all workers as soon as it is answered."""
    upstream = await origin(OK)
    socket = tmp_path / "admin.sock"
    env = {**ENV, "PROXYD_DATABASE": f"sqlite:///{tmp_path}/proxyd.db"}
    one = await gang(config(upstream.port), **env, PROXYD_ADMIN_LISTEN=f"unix:{socket}")
    over = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(base_url="http://localhost", transport=over, timeout=PATIENCE) as admin:

        async def post(path, **body):
            answer = await admin.post(path, json=body)
            assert answer.status_code == 201, answer.text
            return answer.json()

        async def statuses(*keys):
            return [await status_of(raw, one.port, key["key"], times=6) for key in keys]

        made = await post("/consumers/ann/keys", scopes=["read"])
        assert await statuses(made) == [200]
        assert upstream.requests[-1]["X-Credential-Identifier"] == made["id"]
        both = await post(f"/keys/{made['key_id']}/rotate")
        assert await statuses(made, both) == [200, 200]
        alone = await post(f"/keys/{both['key_id']}/rotate", overlap=0)
        assert await statuses(both, alone) == [401, 200]
        brief = await post("/keys", consumer="ann", expires_at=time.time() + 1)

        async def is_over():
            return (await (await raw(one.port)).ask(get(brief["key"]))).status == 401

        await one.until(is_over)
        done = await asyncio.to_thread(
            proxyd, "keys", "create", "--consumer", "ann", "--json", "--config", str(one.file), env=env
        )
        command = json.loads(done.stdout)

        async def known():
            return (await (await raw(one.port)).ask(get(command["key"]))).status == 200

        await one.until(known)
        assert (await admin.delete(f"/keys/{alone['key_id']}")).status_code == 204
        assert await statuses(alone, made) == [401, 200]

        async def noted():
            told = (await admin.get(f"/keys/{made['id']}")).json()
            return told["last_used_at"] is not None

        await one.until(noted)
        told = (await admin.get("/keys?state=active")).json()["data"]
        assert {key["key_id"] for key in told} == {made["key_id"], command["key_id"]}
        text = "".join([(await admin.get(path)).text for path in ("/keys", "/key-auths", "/config")])
        assert not [key for key in (made, both, alone, brief, command) if key["key"] in text]
    log = json.dumps(one.one.events) + (tmp_path / "access.log").read_text()
    assert not [key for key in (made, both, alone, brief) if key["key"] in log]
