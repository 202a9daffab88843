"""The admin listener asked whatever its OpenAPI document allows, and what it does not: answers are as the document says."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from admin_asking import PARTS, ask_all
from e2e_gateway import config_for
from redis_case import free_port


@pytest.mark.timeout(300)
async def test_answers_are_as_the_document_says(gateway):
    """Of a gateway that has its configuration out of a file: no 500, and nothing that is not written there."""
    one = await gateway(config_for(9, **PARTS), admin_listen="127.0.0.1:0")
    wrong, statuses = await asyncio.to_thread(ask_all, one.admin_url)
    assert not wrong, "\n\n".join(wrong)
    assert {200, 204, 400, 404, 405} <= statuses.keys()


@pytest.mark.timeout(300)
async def test_writes_are_answered_as_the_document_says(run, tmp_path):
    """Of a gateway with a database, whatever is made, changed and deleted meanwhile."""
    port = free_port()
    one = await run(
        config_for(9, **PARTS),
        PROXYD_ADMIN_LISTEN=f"127.0.0.1:{port}",
        PROXYD_DATABASE=f"sqlite:///{tmp_path / 'proxyd.db'}",
        PROXYD_KEY_PEPPER="0123456789abcdef0123456789abcdef",
    )

    async def read():
        async for _ in one.process.stderr:  # or else it fills, and what writes to it waits
            pass

    reading = asyncio.create_task(read())
    try:
        wrong, statuses = await asyncio.to_thread(ask_all, f"http://127.0.0.1:{port}")
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
    assert not wrong, "\n\n".join(wrong)
    assert {200, 201, 204, 400, 404} <= statuses.keys()
