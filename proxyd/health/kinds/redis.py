"""A Redis or Valkey that answers a ping, by Sentinel or in a Cluster too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from proxyd.health.look import DownError, reason_of
from proxyd.store.redis_client import close_client, make_client

if TYPE_CHECKING:
    from proxyd.health.look import Around
    from proxyd.model.indicators import RedisCheck


class RedisLook:
    """Pings, over a connection of its own each time."""

    def __init__(self, config: RedisCheck, authorities: str | None) -> None:
        self._config = config
        self._authorities = authorities

    def __repr__(self) -> str:
        return f"<RedisLook {self._config}>"

    async def look(self) -> dict[str, Any]:
        """Ping; raises DownError."""
        client = make_client(self._config, self._authorities)
        try:
            await client.ping()
        except AuthenticationError as error:
            raise DownError("it does not let this user in") from error
        except ResponseError as error:  # LOADING, NOAUTH, MASTERDOWN: the first word is the code
            raise DownError(f"answered {str(error).partition(' ')[0]}") from error
        except RedisTimeoutError as error:
            raise DownError(f"no answer within {self._config.patience:g} s") from error
        except RedisError as error:
            raise DownError(reason_of(_cause(error))) from error
        finally:
            await close_client(client)
        return {}

    async def close(self) -> None:
        """Nothing is kept."""


def _cause(error: BaseException) -> BaseException:
    below = error.__cause__ or error.__context__
    return below if isinstance(below, OSError) else error


def make(config: RedisCheck, around: Around) -> RedisLook:
    """Set it up."""
    return RedisLook(config, around.authorities)
