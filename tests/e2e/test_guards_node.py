"""The guards for Node backends in docs/examples: type-checked, and run behind a gateway."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from e2e_gateway import config_for

EXAMPLE = Path(__file__).parents[2] / "docs/examples/internal-key"
MODULES = Path(sys.prefix) / "node/internal-key/node_modules"  # make test puts them there
SECRET = "0123456789abcdef0123456789abcdef"
HEADER = "X-Internal-Key"

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(not MODULES.exists(), reason="the examples' npm packages are not installed"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Compile the example in strict mode; errors of types fail here."""
    directory = tmp_path_factory.mktemp("internal-key")
    shutil.copytree(EXAMPLE / "src", directory / "src")
    for name in ("package.json", "tsconfig.json"):
        shutil.copy(EXAMPLE / name, directory)
    (directory / "node_modules").symlink_to(MODULES)
    compiler = [str(MODULES / ".bin/tsc"), "--project", str(directory)]
    result = subprocess.run(compiler, capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stdout
    return directory


@pytest.fixture(params=["express", "nestjs"])
async def backend(request, built):
    """Run an example as its own process; give its port."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(built / f"dist/{request.param}.example.js"),
        env={"KEY": SECRET, "PORT": "0"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        yield json.loads(line)["port"]
    finally:
        process.terminate()
        await process.communicate()


def through(port, **config):
    key = {"name": "internal-key", "config": {"keys": [{"id": "k1", "secret": SECRET}], **config}}
    consumers = [{"username": "ann", "keyauth_credentials": [{"key": "k"}]}]
    return config_for(port, plugins=[key, {"name": "key-auth"}], consumers=consumers)


@pytest.mark.parametrize("sign_body", [False, True])
async def test_a_backend_lets_only_the_gateway_in(backend, gateway, sign_body):
    """Through the gateway 200, with odd targets and bodies too; directly 403, with a guess or none."""
    proxy = await gateway(through(backend, sign_body=sign_body))
    key = {"apikey": "k", HEADER: "v1;id=k1;ts=1;nonce=a;body=unsigned;sig=0"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.port}", headers=key) as client:
        asked = [
            await client.get("/a%20b/%C3%A9?x=%41&y"),
            await client.post("/a", json={"b": [1, 2]}),
            await client.post("/a", content=_pieces(), headers={"Content-Type": "application/json"}),
            await client.delete("/a"),
        ]
    direct = f"http://127.0.0.1:{backend}/a"
    async with httpx.AsyncClient() as client:
        without = await client.post(direct, json={})
        guess = await client.get(direct, headers={HEADER: "v1;id=k1;ts=1;nonce=a;body=unsigned;sig=0"})
        garbage = await client.get(direct, headers={HEADER: "x" * 600})
    assert [answer.status_code for answer in asked] == [200] * 4
    assert {answer.json()["consumer"] for answer in asked} == {"ann"}
    assert [answer.json()["body"] for answer in asked[1:3]] == [{"b": [1, 2]}, {"c": 3}]
    assert [answer.status_code for answer in (without, guess, garbage)] == [403] * 3
    assert [answer.json()["message"] for answer in (without, guess, garbage)] == [
        f"Not through the gateway: {reason}"
        for reason in ("no internal key", "wrong signature", "malformed signature")
    ]


async def test_what_was_overheard_is_of_no_use(backend, gateway, origin):
    """A signature does not serve twice, nor for another path, consumer or body."""
    overheard = []

    async def script(wire):
        overheard.append(await wire.message())
        await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    listener = await origin(script)
    proxy = await gateway(through(listener.port, sign_body=True))
    async with httpx.AsyncClient(headers={"apikey": "k"}) as client:
        await client.post(f"http://127.0.0.1:{proxy.port}/a", json={"to": "ann"})
        (request,) = overheard
        headers = {name: request[name] for name in (HEADER.lower(), "x-consumer-id", "content-type")}
        url = f"http://127.0.0.1:{backend}"
        answers = [
            await client.post(f"{url}/b", content=request.body, headers=headers),
            await client.post(f"{url}/a", content=request.body, headers=headers | {"x-consumer-id": "bob"}),
            await client.post(f"{url}/a", content=b'{"to": "bob"}', headers=headers),
            await client.post(f"{url}/a", content=request.body, headers=headers),
        ]
    reasons = [answer.json()["message"].partition(": ")[2] for answer in answers]
    assert reasons == ["wrong signature", "wrong signature", "the body is another one", "replayed"]


async def _pieces():
    yield b'{"c"'
    yield b": 3}"
