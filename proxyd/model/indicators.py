"""What ``/status/health`` is made of: indicators, each of one kind, with how often and how patiently it is looked at."""

from __future__ import annotations

import json
import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from yarl import URL

from proxyd.model import units
from proxyd.model.base import Bytes, Entity, Port, Seconds, Switch
from proxyd.model.places import S3, Tls
from proxyd.model.redis import Redis

OWN: Final = "gateway"  # the indicator that is always there
_STATUS: Final = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")


def listed(value: object) -> object:
    """Return what a text from the environment says in JSON; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("must be JSON") from None


def _statuses(value: object) -> tuple[tuple[int, int], ...]:
    """Return ranges out of words such as ``200`` and ``300-399``."""
    ranges = []
    for word in units.words((value,) if isinstance(value, int) else value):
        found = _STATUS.fullmatch(word)
        if found is None:
            raise ValueError(f"'{word}' is no status", "such as 200, or 200-299")
        ranges.append((int(found[1]), int(found[2] or found[1])))
    return tuple(ranges)


Statuses = Annotated[
    tuple[tuple[int, int], ...],
    BeforeValidator(_statuses),
    WithJsonSchema(
        {
            "type": ["integer", "string", "array"],
            "items": {"type": ["integer", "string"]},
            "default": "200-399",
        }
    ),
]


def url_of(*schemes: str) -> BeforeValidator:
    """Hold a field to URLs of some schemes; what is said of a wrong one does not show it, as there may be a password in it."""
    example = f"{schemes[0]}://host/path"

    def check(value: object) -> object:
        try:
            url = URL(value) if isinstance(value, str) else URL()
            _ = url.port
        except ValueError:
            url = URL()
        if url.scheme not in schemes or not url.raw_host:
            raise ValueError("must be a URL", example)
        return value

    return BeforeValidator(check)


class Http(Entity):
    """Something that answers HTTP."""

    url: Annotated[str, url_of("http", "https")] = Field(repr=False)
    """What is asked for; user information in it becomes Basic authentication."""
    method: Literal["GET", "HEAD", "POST"] = "GET"
    """How."""
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """Header fields that are sent."""
    statuses: Statuses = ((200, 399),)
    """Statuses of a healthy answer, such as 200 or 200-299."""
    contains: str | None = Field(None, min_length=1)
    """A text that has to be in the first 64 KiB of the body."""
    tls: Tls | None = None
    """How an https server is verified; none: by whom the system trusts."""


class Tcp(Entity):
    """Something that accepts connections."""

    host: str = Field(min_length=1)
    """Where."""
    port: Port
    """Its port."""
    tls: Tls | None = None
    """With it, a TLS handshake is made, too."""


class Postgres(Entity):
    """A PostgreSQL that answers a query; extra ``database``."""

    url: Annotated[str, url_of("postgresql", "postgres")] = Field(repr=False)
    """Its DSN; the password may come from the environment, by a reference."""
    query: str = Field("SELECT 1", min_length=1)
    """What is asked."""
    tls: Tls | None = None
    """TLS, with this; none: as sslmode in the DSN says, by default auto: verified unless it is on this machine."""


class MongodbTls(Entity):
    """How a MongoDB is verified, and what it is shown."""

    verify: Switch = True
    """Whether its certificate is checked."""
    ca: str | None = Field(None, min_length=1)
    """By whom: a file of certificates in PEM; none: whom the system trusts."""
    certificate_key: str | None = Field(None, min_length=1)
    """File of the gateway's own certificate and its key, in PEM, one behind the other."""


class Mongodb(Entity):
    """A MongoDB that answers a ping; extra ``mongodb``."""

    url: Annotated[str, url_of("mongodb", "mongodb+srv")] = Field(repr=False)
    """Its connection string."""
    tls: MongodbTls | None = None
    """TLS, with this; none: as the connection string says."""


class RedisCheck(Redis):
    """A Redis or Valkey that answers a ping; extra ``redis``."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.is_complete:
            raise ValueError("does not say where it is", "host, sentinel_nodes or cluster_nodes")
        return self


class Disk(Entity):
    """Room where a file is."""

    path: str = Field(min_length=1)
    """A directory or file there."""
    min_free: Bytes = 0
    """Least room that has to be free for this user."""
    min_free_percent: float = Field(10.0, ge=0, le=100)
    """The same as a part of the whole."""


class Memory(Entity):
    """Resident memory of the gateway's own processes."""

    max_each: Bytes = 0
    """Most that one process may hold; 0 is no limit."""
    max_total: Bytes = 0
    """Most that all of them may hold together, the master included; 0 is no limit."""

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if not self.max_each and not self.max_total:
            raise ValueError("has no limit", "max_each or max_total")
        return self


class EventLoop(Entity):
    """How late the event loop was in the last ten seconds: the latest of each process that serves."""

    max_lag: Annotated[Seconds, Field(gt=0)] = 0.1
    """Most that it may have been."""


KINDS: Final = ("http", "tcp", "postgres", "redis", "mongodb", "s3", "disk", "memory", "event_loop")


class Indicator(Entity):
    """One thing that is looked at."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """What it is called in answers and metrics."""
    http: Http | None = None
    """Something that answers HTTP."""
    tcp: Tcp | None = None
    """Something that accepts connections."""
    postgres: Postgres | None = None
    """A PostgreSQL."""
    redis: RedisCheck | None = None
    """A Redis or Valkey."""
    mongodb: Mongodb | None = None
    """A MongoDB."""
    s3: S3 | None = None
    """A bucket of S3, MinIO and their kin."""
    disk: Disk | None = None
    """Room on a disk."""
    memory: Memory | None = None
    """Memory of the gateway."""
    event_loop: EventLoop | None = None
    """How late the gateway's event loop is."""
    interval: Annotated[Seconds, Field(ge=0.1)] = 10.0
    """How often it is looked at."""
    jitter: float = Field(0.1, ge=0, le=1)
    """By which part of the interval each pause is shorter or longer, so that several gateways do not ask together."""
    timeout: Annotated[Seconds, Field(gt=0)] = 2.0
    """How long a look may take."""
    failures: int = Field(1, ge=1)
    """Looks in a row that have to fail until it is down."""
    successes: int = Field(1, ge=1)
    """Looks in a row that have to succeed until it is up again."""
    ready: Switch = False
    """Whether /status/ready says 503 while it is down."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = f"is {' and '.join(given)} at once" if given else "does not say what it looks at"
            raise ValueError(found, f"one of {', '.join(KINDS)}")
        return self

    @property
    def kind(self) -> str:
        """Which of ``KINDS`` it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


def _distinct(value: tuple[Indicator, ...]) -> tuple[Indicator, ...]:
    if any(one.name == OWN for one in value):
        raise ValueError(f"'{OWN}' is the name of the gateway itself")
    if len({one.name for one in value}) < len(value):
        raise ValueError("two have the same name", "answers and metrics tell them apart by it")
    return value


Indicators = Annotated[tuple[Indicator, ...], BeforeValidator(listed), AfterValidator(_distinct)]
