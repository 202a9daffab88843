"""Who administers a running gateway, and what is written down of it: one process, and workers under a master."""

from __future__ import annotations

import json
from signal import SIGTERM, SIGUSR1

import pytest
import trustme
from e2e_command import proxyd
from e2e_gateway import config_for
from e2e_tls import pem, trusting
from e2e_wire import OK

from proxyd.admin.about import About
from proxyd.errors import ConfigError

ADMIN = "an-admins-secret-of-24-c"
VIEWER = "a-viewers-secret-of-24-c"
TOKENS = f"ann=admin:{ADMIN},viewer:{VIEWER}"


async def log_in(admin, token=ADMIN):
    """Log in as the dashboard's page does; return the headers of its writes."""
    page = str(admin.base_url).rstrip("/")
    answer = await admin.post("/session", json={"token": token}, headers={"Origin": page})
    assert answer.status_code == 200, answer.text
    return {"Origin": page, "X-CSRF-Token": answer.json()["csrf"]}


async def test_a_login_carries_writes_over_tls(gateway, origin, ask):
    """The browser keeps the cookie to this host, and the log says who did it; the status listener counts."""
    upstream, authority = await origin(OK), trustme.CA()
    certificate = pem(authority, "localhost", "127.0.0.1")
    one = await gateway(
        upstream.port,
        admin_listen="127.0.0.1:0 ssl",
        admin_tokens=TOKENS,
        ssl_cert=certificate["cert"],
        ssl_cert_key=certificate["key"],
    )
    admin = ask(one.admin_url, verify=trusting(authority))
    assert (await admin.get("/services")).status_code == 401
    page = await log_in(admin)
    (cookie,) = admin.cookies.jar
    assert (cookie.name, cookie.secure) == ("__Host-proxyd_session", True)
    moved = json.dumps(config_for(upstream.port, route={"paths": ["/moved"]}))
    assert (await admin.post("/config", json={"config": moved})).status_code == 403
    assert (await admin.post("/config", json={"config": moved}, headers=page)).status_code == 201
    entry, login = (await admin.get("/audit")).json()["data"]
    assert (entry["who"], entry["action"], login["action"]) == ("ann", "load", "login")
    assert entry["after"]["changes"][0]["after"]["paths"] == ["/moved"]
    await log_in(admin, VIEWER)
    assert (await admin.get("/audit")).status_code == 403
    metrics = (await ask(one.status_url).get("/metrics")).text
    assert 'proxyd_admin_logins_total{result="success"} 2.0' in metrics


async def test_a_master_keeps_logins_and_the_log_for_its_workers(gang, origin, ask, tmp_path):
    """Over a unix socket, with a file that is rotated; no secret is in it, nor in the event log."""
    upstream, file = await origin(OK), tmp_path / "audit.log"
    one = await gang(
        config_for(upstream.port),
        PROXYD_ADMIN_LISTEN=f"unix:{tmp_path / 'admin.sock'}",
        PROXYD_ADMIN_TOKENS=TOKENS,
        PROXYD_ADMIN_AUDIT_LOG=str(file),
    )
    admin = ask(tmp_path / "admin.sock", headers={"Kong-Admin-Token": ADMIN})

    async def post(path):
        moved = config_for(upstream.port, route={"paths": [path]})
        assert (await admin.post("/config", json={"config": json.dumps(moved)})).status_code == 201

    async def there():
        return file.exists()

    await post("/first")
    wrong = {"Kong-Admin-Token": "wrong-and-secret"}
    answers = [await admin.get("/services", headers=wrong) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert answers[-1].headers["Retry-After"] == "12"
    assert (await admin.get("/services")).status_code == 200  # it has shown its token before
    assert await one.metric('proxyd_admin_logins_total{result="failure"}') == 5
    assert (await one.one.event("wrong admin token"))["address"] == "unix:"

    file.rename(old := tmp_path / "audit.log.1")
    one.one.signal(SIGUSR1)
    await one.until(there)
    await post("/second")
    page = (await admin.get("/audit")).json()["data"]
    assert [entry["action"] for entry in page] == ["load", *["login_failed"] * 5, "load"]
    await one.close()
    before = [json.loads(line) for line in old.read_text().splitlines()]
    (after,) = map(json.loads, file.read_text().splitlines())
    assert [after, *reversed(before)] == page
    assert "secret" not in old.read_text() + file.read_text() + json.dumps(one.one.events)


async def test_a_gateway_with_an_open_route_does_not_start(gateway, origin, monkeypatch):
    """Whoever adds a route says who may use it."""
    add_to = About.add_to

    def and_one_more(self, app):
        add_to(self, app)

        async def handler(_request):
            """Do anything for anybody."""

        app.router.add_post("/anything", handler)

    monkeypatch.setattr(About, "add_to", and_one_more)
    with pytest.raises(
        ConfigError, match="admin_listen: neither roles nor public is declared for POST /anything"
    ):
        await gateway((await origin(OK)).port, admin_listen="127.0.0.1:0")


@pytest.mark.parametrize("start", ["run", "gang"])
async def test_what_is_undone_runs_again(run, gang, origin, ask, raw, tmp_path, start):
    """In one process, or in every worker; the file of the log has what the database has."""
    upstream, file, socket = await origin(OK), tmp_path / "audit.log", tmp_path / "admin.sock"
    database = {"PROXYD_DATABASE": f"sqlite:///{tmp_path / 'proxyd.db'}"}
    migrated = proxyd("migrate", env=database)
    assert migrated.returncode == 0, migrated.stderr
    one = await {"run": run, "gang": gang}[start](
        {"_format_version": "3.0"},
        PROXYD_ADMIN_LISTEN=f"unix:{socket}",
        PROXYD_ADMIN_TOKENS=TOKENS,
        PROXYD_ADMIN_AUDIT_LOG=str(file),
        **database,
    )
    admin = ask(socket, headers={"Kong-Admin-Token": ADMIN})
    url = f"http://127.0.0.1:{upstream.port}"
    assert (await admin.post("/services", json={"name": "s", "url": url})).status_code == 201
    assert (await admin.post("/services/s/routes", json={"name": "r", "paths": ["/a"]})).status_code == 201
    assert (await admin.patch("/routes/r", json={"paths": ["/b"]})).status_code == 200

    async def statuses(path):
        """Return what several connections are answered, which are those of several workers."""
        wires = [await raw(one.port) for _ in range(8)]
        return {(await wire.ask(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path)).status for wire in wires}

    assert (await statuses(b"/a"), await statuses(b"/b")) == ({404}, {200})
    (update, *_) = (await admin.get("/audit")).json()["data"]
    assert (update["before"]["paths"], update["after"]["paths"]) == (["/a"], ["/b"])
    undone = await admin.post(f"/audit/{update['id']}/undo")
    assert undone.status_code == 200, undone.text
    assert (await statuses(b"/a"), await statuses(b"/b")) == ({200}, {404})
    whole = (await admin.get("/audit")).json()["data"]
    assert [entry["action"] for entry in whole] == ["update", "update", "create", "create"]
    process = one if start == "run" else one.one
    process.signal(SIGTERM)
    assert await process.ended() == 0
    assert [json.loads(line) for line in file.read_text().splitlines()] == whole[::-1]
