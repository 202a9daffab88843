"""The plugin contract: one class, one ``Config``, and those of five phases that it needs.

A phase is a plain method. It may return an awaitable when it must wait; only then does the request become a
task. In ``rewrite`` and ``access`` the first ``Reply`` ends the request; ``header_filter`` and ``log`` see
local replies too. Higher priority runs first, in every phase, as in Kong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Generic, TypeVar, get_args

from pydantic import AfterValidator, ConfigDict, model_validator

from proxyd.clock import Clock
from proxyd.issuers.keysets import KeySets
from proxyd.model.base import Entity
from proxyd.store.consumers import Consumers
from proxyd.store.counting import Counting
from proxyd.store.used import LastUsed
from proxyd.telemetry.meter import Meters
from proxyd.telemetry.operations import Operations
from proxyd.telemetry.outputs import Outputs
from proxyd.telemetry.redact import Redactor
from proxyd.telemetry.schemas import Schemas
from proxyd.telemetry.shipper import Deliveries
from proxyd.telemetry.tally import Tallies

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from proxyd.carrier import Caller
    from proxyd.exchange import Exchange, Reply
    from proxyd.http1.headers import Headers


def _with_older_names(schema: dict[str, Any], model: type[Any]) -> None:
    """Describe the names that fields had before, so that an editor takes them too."""
    for old, new in model.renamed.items():
        described = schema["properties"][new]
        schema["properties"][old] = {**described, "description": f"Today {new}."}


class Config(Entity):
    """What every plugin's settings derive from: strict, frozen, a help line under each field."""

    model_config = ConfigDict(json_schema_extra=_with_older_names)

    renamed: ClassVar[dict[str, str]] = {}
    """Names that fields had in older versions of Kong, each with today's, which wins where both are given."""

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, values: Any) -> Any:
        if not isinstance(values, dict) or cls.renamed.keys().isdisjoint(values):
            return values
        today = {name: value for name, value in values.items() if name not in cls.renamed}
        for old, new in cls.renamed.items():
            if old in values and today.get(new) is None:
                today[new] = values[old]
        return today

    def notices(self) -> Iterable[tuple[str, str]]:
        """Return what a load is to warn of, as field and message: of a deprecated setting, for one."""
        return ()


def _or_none(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return value or None


Listed = Annotated[tuple[str, ...] | None, AfterValidator(_or_none)]
"""A list of texts; an empty one is as good as none, as in Kong."""


ConfigT = TypeVar("ConfigT", bound=Config)

HEADER_NAME = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$"
"""What the name of a header is (RFC 9110 section 5.6.2), as a pattern of a setting."""

# What ``wants_body`` may say besides false and true.
WATCH: Final = 2
"""``body_filter`` returns what it is given: the answer keeps its length."""
HOLD: Final = 3
"""Nothing goes out before ``body_filter`` has seen the end, as with ``holds_answer``."""

PHASES = ("rewrite", "access", "header_filter", "body_filter", "log")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a plugin instance is limited to, by id; all None is global."""

    route: str | None = None
    service: str | None = None
    consumer: str | None = None

    def __str__(self) -> str:
        """Name the scope as Kong's documentation does: ``route+consumer``, ``service``, ``global``."""
        parts = [kind for kind in ("route", "service", "consumer") if getattr(self, kind)]
        return "+".join(parts) or "global"


def _own_target(exchange: Exchange) -> str:
    return exchange.request.path + exchange.request.query


@dataclass(frozen=True, slots=True)
class Kit:
    """What the gateway lends to every instance of one generation."""

    consumers: Consumers = field(default_factory=Consumers)
    clock: Clock = field(default_factory=Clock)
    counting: Counting = field(default_factory=Counting)
    upstream_target: Callable[[Exchange], str] = _own_target
    """Path and query of an exchange as the upstream will receive them, should nothing change them any more."""
    redactor: Redactor = field(default_factory=Redactor)
    """Takes secrets out of what is logged of a request; knows the ``secret_arguments`` of every plugin."""
    outputs: Outputs = field(default_factory=Outputs)
    """Where log plugins write to; those of all generations share it."""
    tallies: Tallies = field(default_factory=Tallies)
    """What the prometheus plugin counts."""
    key_sets: KeySets = field(default_factory=KeySets)
    deliveries: Deliveries = field(default_factory=Deliveries)
    """What delivers the spans of tracing plugins; those of all generations share it."""
    meters: Meters = field(default_factory=Meters)
    """What is counted of each route, and where its buckets take exemplars."""
    schemas: Schemas = field(default_factory=Schemas)
    """The schemas that backends are asked for; those of all generations share it."""
    operations: Operations = field(default_factory=Operations)
    """What is counted of GraphQL."""
    caller: Caller | None = field(default=None)
    """What asks services outside of any client's request."""
    authorities: Mapping[str, bytes] = field(default_factory=dict)
    """Digests of the CA certificates, by id."""
    used: LastUsed = field(default_factory=LastUsed)
    """What hears of credentials that are used; those of all generations share it."""
    alone: bool = True
    """Whether this process is the only one of its gateway: what it keeps in memory is found by every request."""


class Plugin(Generic[ConfigT]):
    """One configured instance. A subclass names itself and defines the phases that it takes part in."""

    name: ClassVar[str]
    priority: ClassVar[int]
    Config: ClassVar[type[Any]]  # what the class is generic in
    answers: ClassVar[tuple[tuple[int | str, str], ...]] = ()
    """When it answers a request itself, by status; a setting that holds the status stands for it. For the reference."""
    holds_answer: ClassVar[bool] = False
    """Whether nothing of an answer goes out before ``body_filter`` has seen its end, so that it can still be refused."""

    direct: Mapping[str, Callable[..., Any]] = MappingProxyType({})
    """What phases only hand on to, by the phase's name, set in ``prepare``: it is called in their place."""
    idle: frozenset[str] = frozenset()
    """Phases that this instance has nothing to do in, set in ``prepare``: it is not called there."""
    secret_arguments: tuple[str, ...] = ()
    """Names of query arguments and headers whose values no log shows; a plugin whose settings name them sets it in ``prepare``."""

    def __init_subclass__(cls) -> None:
        cls.Config = get_args(cls.__orig_bases__[0])[0]  # type: ignore[attr-defined]

    def __init__(self, config: ConfigT, instance_id: str, scope: Scope, kit: Kit | None = None) -> None:
        self.config = config
        self.instance_id = instance_id
        self.scope = scope
        self.kit = kit or Kit()
        self.prepare()
        self.kit.redactor.add(self.secret_arguments)

    def __repr__(self) -> str:
        return f"<{self.name} {self.scope}>"

    def prepare(self) -> None:
        """Decide what can be decided before a request comes; called once, off the loop, as the instance is made."""

    # Each phase below is called only where a subclass defines it.

    def rewrite(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Change the request before anything is decided about it."""

    def access(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Let the request pass (None) or answer it."""

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> Reply | None:
        """Change the answer's headers, of the upstream's answers and of the gateway's own alike.

        A ``Reply`` takes the place of an upstream's answer; every ``header_filter`` then sees that one too.
        """

    def wants_body(self, exchange: Exchange, status: int, headers: Headers) -> int:
        """Whether ``body_filter`` is to see this answer; asked once, behind every ``header_filter``.

        An answer whose body nobody wants keeps its length and costs nothing. WATCH and HOLD are true, and say more.
        """
        del exchange, status, headers
        return True

    def body_filter(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        """Return what takes the place of this piece of the answer's body."""
        del exchange, last
        return data

    def log(self, exchange: Exchange) -> None:
        """See the finished exchange; must not wait."""

    async def start(self) -> None:
        """Begin background work; called once, before the first request."""

    async def stop(self) -> None:
        """End it; works after a half start."""
