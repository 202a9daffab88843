"""A MongoDB that answers a ping. Its client is kept: it learns of the members of a replica set by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError

from proxyd.errors import ProxydError
from proxyd.health.look import DownError

if TYPE_CHECKING:
    from proxyd.health.look import Around
    from proxyd.model.indicators import Mongodb

_REASONS = (
    (re.compile("CERTIFICATE_VERIFY_FAILED"), "its certificate is not trusted"),
    (re.compile("SSL|TLS"), "TLS failed"),
    (re.compile("Connection refused|Connect call failed|Errno 111"), "connection refused"),
    (re.compile("timed out|Timeout"), "no answer in time"),
)


class MongodbLook:
    """Pings."""

    def __init__(self, config: Mongodb, timeout: float) -> None:
        self._config = config
        self._limit = max(int(timeout * 1000), 1)
        self._client: AsyncMongoClient[dict[str, Any]] | None = None

    def __repr__(self) -> str:
        return "<MongodbLook>"

    async def look(self) -> dict[str, Any]:
        """Ping; raises DownError."""
        try:
            if self._client is None:
                self._client = self._open()
            await self._client.admin.command("ping")
        except OperationFailure as error:
            raise DownError(
                f"answered {error.code}: {(error.details or {}).get('codeName', 'failed')}"
            ) from error
        except (ConfigurationError, InvalidURI) as error:  # names of SRV records are looked up here
            raise DownError(f"cannot be asked: {type(error).__name__}") from error
        except PyMongoError as error:
            raise DownError(_reason(error)) from error
        return {}

    def _open(self) -> AsyncMongoClient[dict[str, Any]]:
        tls = self._config.tls
        options: dict[str, Any] = {}
        if tls is not None:
            options = {"tls": True, "tlsAllowInvalidCertificates": not tls.verify}
            if tls.ca is not None:
                options["tlsCAFile"] = tls.ca
            if tls.certificate_key is not None:
                options["tlsCertificateKeyFile"] = tls.certificate_key
        return AsyncMongoClient(
            self._config.url,
            appname="proxyd",
            maxPoolSize=1,
            # Well before the look ends, so that it can say what it has waited for: it notices only every half second.
            serverSelectionTimeoutMS=max(self._limit // 2, 1),
            connectTimeoutMS=self._limit,
            socketTimeoutMS=self._limit,
            retryReads=False,
            **options,
        )

    async def close(self) -> None:
        """Close connections, and end the tasks that watch the servers."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _reason(error: PyMongoError) -> str:
    """Say what it means: its own text repeats hosts and options of every server that was tried."""
    text = str(error)
    return next((words for pattern, words in _REASONS if pattern.search(text)), type(error).__name__)


def make(config: Mongodb, around: Around) -> MongodbLook:
    """Set it up; raises ProxydError."""
    for path in (config.tls.ca, config.tls.certificate_key) if config.tls is not None else ():
        if path is not None:
            _require(path)
    return MongodbLook(config, around.timeout)


def _require(path: str) -> None:
    try:
        with open(path, "rb"):  # noqa: PTH123  # whether it may be read
            pass
    except OSError as error:
        raise ProxydError(f"{path}: {error.strerror}") from error
