"""Where the schema comes from: a file, or the backend itself, asked by the gateway and asked again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from proxyd import plugin
from proxyd.graphql.refusal import Refused
from proxyd.graphql.schema.known import MAX_SDL, Known, SchemaError, from_sdl
from proxyd.http1.headers import Headers, is_field_value

if TYPE_CHECKING:
    from collections.abc import Callable

HeaderName = Annotated[str, Field(pattern=plugin.HEADER_NAME)]
_OWN = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})

UNKNOWN = Refused(
    503,
    "SCHEMA_UNAVAILABLE",
    "The gateway does not know the schema yet",
    well_formed=False,
    headers=Headers.of([(b"Retry-After", b"1")]),
)


class Introspected(plugin.Config):
    """The schema that the service tells of itself."""

    path: str = Field("/", pattern=r"^/[!-\"$->@-~]*$")
    """Where the service is asked, behind its own path."""
    headers: dict[HeaderName, str] = Field(default_factory=dict, repr=False)
    """Headers for it, as an Authorization; values may refer to vaults."""
    interval: int = Field(60_000, ge=100, le=86_400_000)
    """Milliseconds until it is asked again, a tenth more or less."""
    timeout: int = Field(10_000, ge=1, le=600_000)
    """Milliseconds that an answer may take."""
    wait: int = Field(5000, ge=0, le=60_000)
    """Milliseconds that requests wait for the first schema; after that they are refused with 503."""
    max_size: int = Field(33_554_432, gt=0)
    """Bytes of the largest answer."""

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if name.lower() in _OWN:
                raise ValueError(f"{name} is not for the configuration to set")
            if not is_field_value(value.encode("utf-8", "surrogatepass")):
                raise ValueError(f"the value of {name} cannot stand in a header")
        return headers


class Config(plugin.Config):
    """Where the schema comes from; one of both."""

    file: str | None = Field(None, min_length=1)
    """File that holds it in the schema definition language; read when the configuration is loaded."""
    introspection: Introspected | None = None
    """How the service is asked for it, by the gateway itself."""

    _known: Known | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.file is None) == (self.introspection is None):
            raise ValueError("exactly one of file and introspection is needed")
        if self.file is not None:
            self._known = _read(self.file)
        return self

    @property
    def known(self) -> Known | None:
        """The schema in the file, where that is where it comes from."""
        return self._known


def _read(name: str) -> Known:
    try:
        with Path(name).open(encoding="utf-8") as file:
            text = file.read(MAX_SDL + 1)
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8: byte {error.start} belongs to no character") from None
    try:
        return from_sdl(text, name)
    except SchemaError as error:
        raise ValueError(str(error)) from None


class Schema:
    """The schema as it is now; ``changed`` are called when another one has taken its place."""

    def __init__(self, known: Known | None = None) -> None:
        self.now = known
        self.changed: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.now!r}>"

    def start(self) -> None:
        """Begin to keep it fresh."""

    async def stop(self) -> None:
        """End it."""

    async def wait(self) -> None:
        """Wait until it is known, as long as requests do."""

    def known(self) -> Known:
        """Return it; raises Refused where there is none yet."""
        if self.now is None:
            raise UNKNOWN.again()
        return self.now

    def take(self, known: Known) -> bool:
        """Take a schema in the place of the one before; returns whether it is another."""
        if self.now is not None and self.now.digest == known.digest:
            return False
        self.now = known
        for hear in self.changed:
            hear()
        return True
