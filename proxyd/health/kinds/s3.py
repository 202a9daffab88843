"""A bucket: HeadBucket, so that its name, the credentials and the service are all tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxyd.health.look import DownError
from proxyd.telemetry.s3_bucket import Bucket
from proxyd.telemetry.shipping import StoreError

if TYPE_CHECKING:
    from proxyd.health.look import Around
    from proxyd.model.places import S3


class S3Look:
    """Asks for the bucket, over a connection of its own each time."""

    def __init__(self, config: S3, timeout: float) -> None:
        self._bucket = Bucket(config, timeout)

    def __repr__(self) -> str:
        return f"<S3Look {self._bucket!r}>"

    async def look(self) -> dict[str, Any]:
        """Ask; raises DownError."""
        try:
            await self._bucket.head()
        except StoreError as error:
            raise DownError(str(error)) from error
        return {}

    async def close(self) -> None:
        """Close connections."""
        await self._bucket.close()


def make(config: S3, around: Around) -> S3Look:
    """Set it up; raises ProxydError."""
    return S3Look(config, around.timeout)
