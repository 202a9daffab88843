"""How one instance of the graphql plugin names what it counts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxyd import plugin


class Counted(plugin.Config):
    """Which operations are counted by their names."""

    names: Literal["first", "listed", "none"] = "first"
    """Whose names are labels: the first ``max_names`` of a route, those that the safelist knows, or nobody's; all others are counted as ``_OTHER``."""
    max_names: int = Field(100, ge=0)
    """Names of a route that are labels, with ``first``; of each worker."""
    error_codes: bool = True
    """Whether the codes of errors are counted, for which answers are read."""
