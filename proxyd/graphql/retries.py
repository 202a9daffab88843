"""Which GraphQL requests may be sent to the backend again: queries, which change nothing, and never anything else."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from proxyd import plugin


class Retries(plugin.Config):
    """When queries are sent again, as often as the service's ``retries`` say and the upstream's budget allows."""

    queries: bool = True
    """Whether a query whose connection breaks before its answer begins is sent again, whatever its method."""
    statuses: tuple[Annotated[int, Field(ge=500, le=599)], ...] = ()
    """Statuses of the backend after which a query is sent again, such as 502, 503, 504; the last answer goes to the client."""
