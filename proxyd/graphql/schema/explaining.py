"""What the schema says of a document, for whoever writes it: whether it is valid, and what its operations cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxyd.graphql.schema.estimate import Estimate
from proxyd.graphql.schema.source import Schema
from proxyd.graphql.schema.validation import Validation
from proxyd.graphql.schema.weights import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.graphql.document import Document
    from proxyd.graphql.schema.config import Config


class Judge:
    """Judges documents by the settings of a plugin, as far as they name a file: what a backend would tell is not known here."""

    def __init__(self, config: Config) -> None:
        known = config.schema_from.known if config.schema_from is not None else None
        self._validation = Validation(Schema(known), config.validation) if known is not None else None
        self._table = (
            Table(known.graph, config.cost) if known is not None and config.cost is not None else None
        )
        self.maximum = config.cost.max if config.cost is not None else None
        self.enforced = config.cost is not None and config.cost.mode == "enforce"

    def costs(self, document: Document, variables: Mapping[str, Any]) -> dict[str, int]:
        """Return what each operation costs, by its name; raises Refused for a document that is not valid, or not clear."""
        if self._validation is not None:
            self._validation.learn(document)
        if self._table is None:
            return {}
        return {
            name: Estimate(self._table, operation).price().of(variables)
            for name, operation in document.operations.items()
        }
