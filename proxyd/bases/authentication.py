"""What authentication plugins share: when they look at a request at all, and what becomes of one that fails.

Kong's rules: several of them on a route are a logical AND; with ``anonymous`` set they are an OR, in which a
request that one has let in is not looked at by the next. A preflight passes unless ``run_on_preflight``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, TypeVar

from pydantic import Field

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.http1.headers import Headers
from proxyd.identity import challenge, identify, is_known

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxyd.exchange import Exchange
    from proxyd.plugin import Kit, Scope


class Config(plugin.Config):
    """Settings that every authentication plugin has."""

    anonymous: str | None = Field(None, min_length=1)
    """Id or username of the consumer that requests without valid credentials count as; none: they are refused."""
    run_on_preflight: bool = True
    """Whether OPTIONS requests need credentials too; browsers send none on preflights."""


ConfigT = TypeVar("ConfigT", bound=Config)


class Authentication(plugin.Plugin[ConfigT], ABC):
    """Base of the plugins that find out who calls. A subclass defines ``authenticate``.

    ``authenticate`` calls ``identity.identify`` and returns None where the request is let in, a 401 ``Reply``
    (see ``unauthorized``) where it is not, or an awaitable of either.
    """

    answers: ClassVar[tuple[tuple[int | str, str], ...]] = (
        (401, "there are no valid credentials; WWW-Authenticate says which are asked for"),
        (500, "there is no consumer of the name that anonymous gives"),
    )

    def __init__(self, config: ConfigT, instance_id: str, scope: Scope, kit: Kit | None = None) -> None:
        # Fields of a model take longer to read than attributes, and these are read with every request.
        self._passes_preflights = not config.run_on_preflight
        self._anonymous = config.anonymous
        super().__init__(config, instance_id, scope, kit)

    @abstractmethod
    def authenticate(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Find out who calls."""

    def access(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Let the request pass with an identity, or refuse it."""
        if self._passes_preflights and exchange.request.method == "OPTIONS":
            return None
        anonymous = self._anonymous
        if anonymous is None:
            return self.authenticate(exchange)
        if is_known(exchange):
            return None  # another one has let it in: OR
        outcome = self.authenticate(exchange)
        if outcome is None:
            return None
        if isinstance(outcome, Reply):
            return self._fall_back(exchange, outcome, anonymous)
        return self._wait(exchange, outcome, anonymous)

    async def _wait(
        self, exchange: Exchange, outcome: Awaitable[Reply | None], anonymous: str
    ) -> Reply | None:
        reply = await outcome
        return reply if reply is None else self._fall_back(exchange, reply, anonymous)

    def _fall_back(self, exchange: Exchange, reply: Reply, anonymous: str) -> Reply | None:
        if reply.status >= 500:  # noqa: PLR2004  # it could not be found out: nobody is let in for that
            return reply
        consumer = self.kit.consumers.find(anonymous)
        if consumer is None:
            return Reply(500, f"anonymous consumer {anonymous} is configured but doesn't exist")
        identify(exchange, consumer, anonymous=True)
        return None


def unauthorized(message: str, scheme: str, realm: str | None = None) -> Reply:
    """Refuse for want of valid credentials, with the challenge (RFC 9110 section 11.6.1)."""
    return Reply(401, message, headers=Headers.of([(b"WWW-Authenticate", challenge(scheme, realm))]))
