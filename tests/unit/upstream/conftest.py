from __future__ import annotations

import pytest
from upstream_fakes import FakeClock, World


@pytest.fixture
async def world():
    world = World()
    yield world
    await world.close()


@pytest.fixture
def clock():
    return FakeClock()
