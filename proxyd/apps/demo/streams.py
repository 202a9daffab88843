"""The demo backend's streams: a download, two uploads and Server-Sent Events, each in constant memory."""

from __future__ import annotations

import asyncio
import hashlib
import json

from aiohttp import web

from proxyd.apps.demo.plain import number

BLOCK = bytes(range(256)) * 256  # 64 KiB
MAX_BYTES = 2**40
MAX_EVENTS = 1_000_000
MAX_INTERVAL = 3600  # seconds


async def download(request: web.Request) -> web.StreamResponse:
    """Send ``bytes`` bytes counting 0 to 255 over and over; ``chunked=1`` hides their number."""
    left = int(number(request, "bytes", 1_000_000, MAX_BYTES))
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    if request.query.get("chunked") == "1":
        response.enable_chunked_encoding()
    else:
        response.content_length = left
    await response.prepare(request)
    while left > 0:
        await response.write(BLOCK[:left])
        left -= len(BLOCK)
    return response


async def echo(request: web.Request) -> web.StreamResponse:
    """Send the body back while it arrives, under its own Content-Type.

    A client that does not read before it has written everything waits for ever with a large body, as with
    any full-duplex stream.
    """
    content_type = request.headers.get("Content-Type", "application/octet-stream")
    response = web.StreamResponse(headers={"Content-Type": content_type})
    if request.content_length is None:
        response.enable_chunked_encoding()
    else:
        response.content_length = request.content_length
    await response.prepare(request)
    async for piece in request.content.iter_any():
        await response.write(piece)
    return response


async def upload(request: web.Request) -> web.Response:
    """Count and digest the body."""
    size, digest = 0, hashlib.sha256()
    async for piece in request.content.iter_any():
        size += len(piece)
        digest.update(piece)
    return web.json_response({"bytes": size, "sha256": digest.hexdigest()})


async def events(request: web.Request) -> web.StreamResponse:
    """Send ``n`` Server-Sent Events, ``interval`` seconds apart, the first at once."""
    count = int(number(request, "n", 5, MAX_EVENTS))
    interval = number(request, "interval", 1, MAX_INTERVAL)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    for index in range(1, count + 1):
        data = json.dumps({"n": index, "of": count})
        await response.write(f"id: {index}\nevent: tick\ndata: {data}\n\n".encode())
        if index < count:
            await asyncio.sleep(interval)
    return response


def add_to(app: web.Application) -> None:
    """Add these endpoints to an application."""
    app.router.add_get("/download", download)
    app.router.add_post("/echo", echo)
    app.router.add_post("/upload", upload)
    app.router.add_put("/upload", upload)
    app.router.add_get("/events", events)
