"""A registry of stand-in plugins, and loading with it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from proxyd.errors import ConfigError
from proxyd.model.base import Entity
from proxyd.model.load import load, load_text

SAMPLES = Path(__file__).parents[2] / "data" / "kong"
HEAD = '_format_version: "3.0"\n'


class Empty(Entity):
    """No settings."""


class KeyAuth(Entity):
    """Like key-auth."""

    key_names: tuple[str, ...] = ("apikey",)
    """Where the key may be."""
    hide_credentials: bool = False
    """Whether the key is taken off."""
    run_on_preflight: bool = True
    """Whether preflights need a key."""
    anonymous: str | None = None
    """Who calls without a key."""


class Redis(Entity):
    """A nested record."""

    host: str
    """Host name."""
    port: int = 6379
    """Port."""


class RateLimiting(Entity):
    """Like rate-limiting."""

    second: int | None = Field(None, gt=0)
    """Requests per second."""
    minute: int | None = Field(None, gt=0)
    """Requests per minute."""
    hour: int | None = Field(None, gt=0)
    """Requests per hour."""
    policy: Literal["local", "redis"] = "local"
    """Where counters are."""
    redis: Redis | None = None
    """The server."""


class ACL(Entity):
    """Like acl."""

    allow: list[str] | None = None
    """Groups let in."""
    hide_groups_header: bool = False
    """Whether the backend sees the groups."""


class Cors(Entity):
    """Like cors."""

    origins: list[str] | None = None
    """Origins allowed."""
    credentials: bool = False
    """Whether cookies are."""


class CorrelationId(Entity):
    """Like correlation-id."""

    header_name: str = "Kong-Request-ID"
    """Header."""
    generator: str = "uuid#counter"
    """Kind."""
    echo_downstream: bool = False
    """Whether the client sees it."""


class Termination(Entity):
    """Like request-termination."""

    status_code: int = Field(503, ge=100, le=599)
    """Status."""
    message: str | None = None
    """Message."""


class Transformer(Entity):
    """Like request-transformer."""

    add: dict[str, tuple[str, ...]] | None = None
    """What is added."""
    replace: dict[str, tuple[str, ...]] | None = None
    """What is replaced."""
    omit_empty: bool = False
    """Whether what is empty is left out."""


REGISTRY: dict[str, type[BaseModel]] = {
    "acl": ACL,
    "basic-auth": KeyAuth,
    "correlation-id": CorrelationId,
    "cors": Cors,
    "key-auth": KeyAuth,
    "prometheus": Empty,
    "rate-limiting": RateLimiting,
    "request-termination": Termination,
    "request-transformer": Transformer,
}


@pytest.fixture
def registry():
    return REGISTRY


@pytest.fixture
def samples():
    return SAMPLES


@pytest.fixture
def load_sample():
    """Load a file of tests/data/kong."""

    def run(name, env=None, **options):
        return load(SAMPLES / name, env=env or {}, plugins=REGISTRY, **options)

    return run


@pytest.fixture
def load_yaml():
    """Load a text without its ``_format_version``, which is put before it."""

    def run(text, env=None, **options):
        return load_text(HEAD + text, "kong.yml", env=env or {}, plugins=REGISTRY, **options)

    return run


@pytest.fixture
def problems():
    """Return the rendered problems of a text, which is taken as it is."""

    def run(text, env=None, **options):
        try:
            load_text(text, "kong.yml", env=env or {}, plugins=REGISTRY, **options)
        except ConfigError as error:
            return [str(problem) for problem in error.problems]
        return []

    return run


@pytest.fixture(scope="session")
def registry_once():
    """Give the registry to properties, whose examples share their fixtures."""
    return REGISTRY
