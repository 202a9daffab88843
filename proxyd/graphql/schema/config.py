"""The settings of everything that knows the schema, and the steps that they come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.errors import ConfigError, Place, Problem
from proxyd.graphql.roles import Roles
from proxyd.graphql.schema.coordinates import exists
from proxyd.graphql.schema.cost import Config as CostConfig
from proxyd.graphql.schema.cost import Cost
from proxyd.graphql.schema.fetching import Fetching
from proxyd.graphql.schema.introspection import Config as IntrospectionConfig
from proxyd.graphql.schema.introspection import Introspection, NoIntrospection
from proxyd.graphql.schema.permissions import Permissions, Rules
from proxyd.graphql.schema.source import Config as SourceConfig
from proxyd.graphql.schema.source import Schema
from proxyd.graphql.schema.validation import Config as ValidationConfig
from proxyd.graphql.schema.validation import Validation
from proxyd.graphql.schema.weights import Table
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql import GraphQLSchema

    from proxyd.graphql.steps import Step
    from proxyd.plugin import Kit, Scope
    from proxyd.store.consumers import Consumers

log = get_logger("graphql")


class Config(plugin.Config):
    """Settings of what knows the schema."""

    roles_claim: str | None = Field(None, min_length=1)
    """Path into a token's claims (``roles``, ``realm_access.roles``) whose values are roles, beside the consumer's groups."""
    schema_from: SourceConfig | None = None
    """Where the schema comes from. With it, documents are validated, and what is not valid is not sent to the backend."""
    validation: ValidationConfig = ValidationConfig()
    """Validation of documents."""
    introspection: IntrospectionConfig = IntrospectionConfig()
    """Which clients may ask for the schema; nobody, unless it is said here."""
    permissions: Rules = Field(default_factory=dict)
    """Fields, types, arguments, input fields and enum values that are not for everybody, by their coordinates."""

    cost: CostConfig | None = None
    """What operations cost, by the schema."""

    @model_validator(mode="after")
    def _knows_schema(self) -> Self:
        if self.schema_from is None:
            for name in ("permissions", "cost"):
                if getattr(self, name):
                    raise ValueError(f"{name} needs schema_from")
        elif self.schema_from.known is not None:
            graph = self.schema_from.known.graph
            for name, coordinate in self.strangers(graph):
                raise ValueError(f"{name}: there is no {coordinate} in the schema")
            if self.cost is not None:
                Table(graph, self.cost)
        return self

    def strangers(self, graph: GraphQLSchema) -> Iterator[tuple[str, str]]:
        """Iterate over settings and the coordinates in them that a schema does not have."""
        named = [("permissions", one) for one in self.permissions]
        if self.cost is not None:
            named += [("cost.weights", one) for one in self.cost.weights]
            named += [("cost.list_sizes", one) for one in self.cost.list_sizes]
        return ((name, one) for name, one in named if not exists(one, graph))

    def named_roles(self) -> set[str]:
        """Return the roles that something is decided by."""
        named = set(self.introspection.roles or ())
        for rule in self.permissions.values():
            named.update(rule.roles)
        return named


def make_schema(config: Config, scope: Scope, kit: Kit) -> Schema | None:
    """Return where the schema will be, if any is configured; raises ConfigError where the backend is asked and there is none."""
    given = config.schema_from
    if given is None:
        return None
    if given.introspection is None:
        return Schema(given.known)
    if scope.route is None and scope.service is None:
        problem = Problem(
            Place("plugins"),
            "graphql.schema_from.introspection",
            "a plugin that stands on no route and no service has no backend to ask",
            "give a file, or put the plugin on the service",
        )
        raise ConfigError([problem])
    return Fetching(given.introspection, scope, kit, lambda graph: _tell_strangers(config, graph))


def _tell_strangers(config: Config, graph: GraphQLSchema) -> None:
    """Warn of coordinates that a schema does not have: nothing can be asked of them, and they may be misspelt."""
    for name, coordinate in config.strangers(graph):
        log.warning("coordinate that the schema does not have", setting=name, coordinate=coordinate)


def steps(config: Config, schema: Schema | None, consumers: Consumers) -> list[Step]:
    """Return the steps for what is configured, in the order in which they need one another."""
    roles = Roles(consumers, config.named_roles(), config.roles_claim)
    made: list[Step] = []
    if config.introspection.allow == "never":
        made.append(NoIntrospection())
    elif config.introspection.roles is not None:
        made.append(Introspection(config.introspection.roles, roles))
    if schema is not None:
        made.append(Validation(schema, config.validation))
        if config.permissions:
            made.append(Permissions(config.permissions, schema, roles))
        if config.cost is not None:
            made.append(Cost(config.cost, schema))
    return made
