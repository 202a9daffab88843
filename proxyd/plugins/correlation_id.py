"""correlation-id: every request carries an id to the upstream, and back if asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from proxyd import plugin
from proxyd.bases.phases.correlation import Correlation
from proxyd.transform.rules import Changeable

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers


class Config(plugin.Config):
    """Settings of correlation-id (Kong's ``kong/plugins/correlation-id/schema.lua``)."""

    header_name: Annotated[str, Changeable] = Field(
        "Kong-Request-ID", min_length=1, pattern=plugin.HEADER_NAME
    )
    """Header that carries the id."""
    generator: Literal["uuid", "uuid#counter", "tracker"] = "uuid#counter"
    """What an id is: a UUID; one UUID per process, and a counter; or, as ``tracker``, the gateway's address and port, its
    process, the number of the connection, that of the request on it, and the time."""
    echo_downstream: bool = False
    """Whether the id is also set on the answer."""


class CorrelationId(plugin.Plugin[Config]):
    """Sets the header unless the client has."""

    name = "correlation-id"
    priority = 100_001

    def prepare(self) -> None:
        """Choose the generator."""
        config = self.config
        self._ids = Correlation(
            config.header_name, config.generator, self.kit.clock.time, echo=config.echo_downstream
        )
        self.direct = {"access": self._ids.access, "header_filter": self._ids.header_filter}

    def access(self, exchange: Exchange) -> None:
        """Take the client's id over, or make one."""
        self._ids.access(exchange)

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Set the id on the answer."""
        self._ids.header_filter(exchange, status, headers)
