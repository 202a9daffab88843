"""What the gateway makes of hostile requests, read by real servers: nginx and Node see what was meant, or nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil

import pytest
from e2e_nginx import NGINX, TEMPORARY, WITHOUT, start_nginx, stop_nginx
from e2e_recorder import Recorder
from e2e_wire import closed_port
from hostile_corpus import REQUESTS
from test_hostile_requests import config, final

PROBE = b"GET /probe HTTP/1.1\r\nHost: p\r\n\r\n"
NODE = shutil.which("node")
SERVER = """
require('node:http').createServer((request, response) => {
  const body = [];
  request.on('data', (piece) => body.push(piece));
  request.on('end', () => {
    const seen = Buffer.from(JSON.stringify({
      start: request.method + ' ' + request.url,
      headers: request.rawHeaders,
      body: Buffer.concat(body).toString('latin1'),
    })).toString('base64');
    response.setHeader('X-Seen', seen);
    response.end('ok');
  });
}).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
"""

PASSES_ON = """
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
{temporary}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


@pytest.fixture
async def forwarded(gateway, origin, raw):
    """Send every case of which something is forwarded; return each request as it was sent up, and as h11 read it."""
    recorder = Recorder()
    upstream = await origin(recorder)
    proxy = await gateway(config(upstream.port), proxy_access_log="off")
    for case in REQUESTS.values():
        if case.sent:
            client = await raw(proxy.port)
            await client.send(case.data)
            head = case.sent[0].start.startswith("HEAD ")
            for word, _, _ in case.steps:
                if word != "refused":  # what may need more behind it
                    await final(client, "HEAD " if head else "")
            client.close()
    assert recorder.errors == []
    return list(zip(recorder.sent, recorder.whole, strict=True))


@pytest.fixture
async def nginx(tmp_path, origin):
    """Run an nginx that passes on what it reads to a recorder; returns its port and the recorder."""
    if NGINX is None:
        pytest.skip(WITHOUT)
    recorder = Recorder()
    behind = await origin(recorder)
    port = closed_port()
    text = PASSES_ON.format(temporary=TEMPORARY.format(directory=tmp_path), port=port, behind=behind.port)
    process = await start_nginx(tmp_path, text, port)
    yield port, recorder
    await stop_nginx(process)


@pytest.fixture
async def node():
    """Run a Node server that says in X-Seen what it read; returns its port."""
    if NODE is None:
        pytest.skip("node is not installed")
    process = await asyncio.create_subprocess_exec(NODE, "-e", SERVER, stdout=asyncio.subprocess.PIPE)
    yield int(await process.stdout.readline())
    process.terminate()
    await process.communicate()


async def test_node_reads_what_was_meant(forwarded, node, raw):
    """Method, target, every field and the body are the same to Node, and the request behind it is the next one."""
    assert len(forwarded) > 90
    for sent, meant in forwarded:
        wire = await raw(node)
        await wire.send(sent)
        answers = [await wire.message(bodiless=meant.start.startswith("HEAD "))]
        if answers[0].status == 400:
            assert meant.start.split(" ")[0] in {"get", "X-Y.z!"}  # no methods to Node
            continue
        if "upgrade" not in dict(
            meant.headers
        ):  # behind which Node is deaf, and the gateway says nothing more
            answers.append(await wire.ask(PROBE))
        wire.close()
        seen, *probe = (json.loads(base64.b64decode(answer["x-seen"])) for answer in answers)
        names, values = seen["headers"][::2], seen["headers"][1::2]
        read = sorted(
            zip((name.lower() for name in names), (value.encode("latin-1") for value in values), strict=True)
        )
        assert (seen["start"], seen["body"].encode("latin-1")) == (meant.start, meant.body)
        assert read == sorted(meant.headers)
        assert [one["start"] for one in probe] == ["GET /probe"] * (len(answers) - 1)


async def test_nginx_reads_what_was_meant(forwarded, nginx, raw):
    """Method, target, length and body are the same to nginx; what it refuses is a method that it does not know."""
    port, recorder = nginx
    for sent, meant in forwarded:
        wire = await raw(port)
        await wire.send(sent)
        answer = await wire.message(bodiless=meant.start.startswith("HEAD "))
        if answer.status != 200:
            assert answer.status == 400
            assert re.fullmatch(r"[A-Z_-]+", meant.start.split(" ")[0]) is None
            wire.close()
            continue
        assert (await wire.ask(PROBE)).status == 200
        wire.close()
        seen, probe = recorder.whole[-2:]
        assert (seen.start, seen.body, seen.all("host")) == (meant.start, meant.body, meant.all("host"))
        assert probe.start == "GET /probe"
    assert recorder.errors == []
