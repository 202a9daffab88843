"""Health of upstreams over the Admin API: told as Kong tells it, and set by hand, in one process and in several."""

from __future__ import annotations

from e2e_gateway import config_for
from e2e_wire import OK

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
OTHER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def configuration(first, second, **upstream):
    targets = [{"target": f"127.0.0.1:{first.port}"}, {"target": f"127.0.0.1:{second.port}", "weight": 50}]
    pool = {"name": "pool", "targets": targets, **upstream}
    empty = {"name": "empty", "targets": [{"target": "nowhere.invalid:80"}]}
    return config_for("http://pool", upstreams=[pool, empty])


async def healths(admin, path="/upstreams/pool/health"):
    answer = await admin.get(path)
    assert answer.status_code == 200, answer.text
    return [one["health"] for one in answer.json()["data"]]


async def test_health_is_told_as_kong_tells_it(gateway, origin, ask):
    """Each target with its addresses and weights, or the upstream as a whole."""
    first, second = await origin(OK), await origin(OTHER)
    checks = {"passive": {"unhealthy": {"tcp_failures": 1}}, "threshold": 50}
    one = await gateway(configuration(first, second, healthchecks=checks), admin_listen="127.0.0.1:0")
    admin = ask(one.admin_url)
    document = (await admin.get("/upstreams/pool/health?size=1")).json()
    (row,) = document["data"]
    assert (row["target"], row["health"]) == (f"127.0.0.1:{first.port}", "HEALTHY")
    assert row["data"] == {
        "host": "127.0.0.1",
        "port": first.port,
        "nodeWeight": 100,
        "weight": {"total": 100, "available": 100, "unavailable": 0},
        "addresses": [{"ip": "127.0.0.1", "port": first.port, "weight": 100, "health": "HEALTHY"}],
    }
    (row,) = (await admin.get(document["next"])).json()["data"]
    assert row["target"] == f"127.0.0.1:{second.port}"
    whole = (await admin.get("/upstreams/pool/health?balancer_health=1")).json()["data"]
    assert (whole["health"], whole["details"]["healthy"]) == ("HEALTHY", True)
    assert whole["details"]["weight"] == {"total": 150, "available": 150, "unavailable": 0}
    assert (await admin.put(f"/upstreams/pool/targets/127.0.0.1:{first.port}/unhealthy")).status_code == 204
    whole = (await admin.get("/upstreams/pool/health?balancer_health=1")).json()["data"]
    assert (whole["health"], whole["details"]["healthy"]) == ("UNHEALTHY", False)
    assert await healths(admin, "/upstreams/empty/health") == ["DNS_ERROR"]
    assert len((await admin.get("/upstreams/pool/targets/all")).json()["data"]) == 2


async def test_a_target_is_taken_out_and_put_back_by_hand(gateway, origin, raw, ask):
    """By its name, its id, or one of its addresses; what is not there is 404."""
    first, second = await origin(OK), await origin(OTHER)
    one = await gateway(configuration(first, second), admin_listen="127.0.0.1:0")
    admin = ask(one.admin_url)
    wire = await raw(one.port)
    assert {(await wire.ask(GET)).status for _ in range(8)} == {200, 202}
    assert await healths(admin) == ["HEALTHCHECKS_OFF", "HEALTHCHECKS_OFF"]
    target = f"/upstreams/pool/targets/127.0.0.1:{first.port}"
    answer = await admin.put(f"{target}/unhealthy")
    assert (answer.status_code, answer.content) == (204, b"")
    assert await healths(admin) == ["UNHEALTHY", "HEALTHCHECKS_OFF"]
    assert {(await wire.ask(GET)).status for _ in range(8)} == {202}
    identity = (await admin.get(target)).json()["id"]
    by_id = f"/upstreams/pool/targets/{identity}"
    assert (await admin.put(f"{by_id}/127.0.0.1:{first.port}/healthy")).status_code == 204
    assert {(await wire.ask(GET)).status for _ in range(8)} == {200, 202}
    for wrong in (
        f"{target}/127.0.0.1:1/healthy",
        "/upstreams/pool/targets/x/healthy",
        "/upstreams/x/health",
    ):
        answer = await admin.request("GET" if wrong.endswith("/health") else "PUT", wrong)
        assert (answer.status_code, answer.json()) == (404, {"message": "Not found"}), wrong


async def test_every_worker_hears_of_it(gang, origin, raw, ask, tmp_path):
    """And what they say of a target is put together."""
    first, second = await origin(OK), await origin(OTHER)
    one = await gang(configuration(first, second), PROXYD_ADMIN_LISTEN=f"unix:{tmp_path / 'admin.sock'}")
    admin = ask(tmp_path / "admin.sock")
    assert (await admin.put(f"/upstreams/pool/targets/127.0.0.1:{first.port}/unhealthy")).status_code == 204
    assert await healths(admin) == ["UNHEALTHY", "HEALTHCHECKS_OFF"]
    for _ in range(6):  # connections: each comes to one worker or another
        wire = await raw(one.port)
        assert {(await wire.ask(GET)).status for _ in range(4)} == {202}
    assert (await admin.put(f"/upstreams/pool/targets/127.0.0.1:{first.port}/healthy")).status_code == 204
    assert await healths(admin) == ["HEALTHCHECKS_OFF", "HEALTHCHECKS_OFF"]
