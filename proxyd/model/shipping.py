"""Where logs are shipped to: a bucket, and the directory in which they wait until they are there."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from proxyd.model import units
from proxyd.model.base import Bytes, Seconds, Switch
from proxyd.model.indicators import listed
from proxyd.model.places import S3

PLACEHOLDERS: Final = ("log", "host", "worker", "year", "month", "day", "hour")
MEGABYTE: Final = 1024 * 1024
_PREFIX: Final = re.compile(r"(?!/)(?:[A-Za-z0-9!_.*'()=/-]|\{(?:" + "|".join(PLACEHOLDERS) + r")\})*")


def _prefix(value: object) -> object:
    if not isinstance(value, str) or not _PREFIX.fullmatch(value) or ".." in value or "//" in value:
        raise ValueError(
            "must be the beginning of a key, such as logs/{log}/{year}/{month}/{day}/",
            f"letters, digits, !_.*'()=/- and {', '.join(f'{{{name}}}' for name in PLACEHOLDERS)}",
        )
    return value


class LogShipping(S3):
    """Where logs are shipped to; extra ``s3``."""

    logs: Annotated[tuple[Literal["access", "audit"], ...], BeforeValidator(units.words)] = Field(
        ("access", "audit"), min_length=1
    )
    """Which logs."""
    prefix: Annotated[str, BeforeValidator(_prefix)] = "{log}/{year}/{month}/{day}/"
    """What keys begin with; {log}, {host}, {worker}, {year}, {month}, {day} and {hour} (UTC) are filled in."""
    spool: str = Field(min_length=1)
    """Directory in which segments wait; it is made where it is not there."""
    spool_max_size: Bytes = Field(1024 * MEGABYTE, ge=MEGABYTE)
    """Room that they may take; beyond it, the oldest go."""
    segment_size: Bytes = Field(16 * MEGABYTE, ge=1024)
    """Size at which a segment is closed, and shipped."""
    segment_age: Annotated[Seconds, Field(ge=1)] = 300.0
    """Age at which it is."""
    gzip: Switch = True
    """Whether segments are compressed on their way."""
    encryption: Literal["none", "AES256", "aws:kms"] = "none"
    """Server-side encryption that is asked for."""
    kms_key_id: str | None = Field(None, min_length=1)
    """Its key, with aws:kms; none: the bucket's own."""
    timeout: Annotated[Seconds, Field(gt=0)] = 30.0
    """How long one segment may take to be sent."""
    flush_timeout: Seconds = 5.0
    """How long a gateway that ends goes on sending; what is left is sent after the next start."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kms_key_id is not None and self.encryption != "aws:kms":
            raise ValueError("kms_key_id needs encryption: aws:kms")
        if self.segment_size > self.spool_max_size // 2:
            raise ValueError("segment_size must be at most half of spool_max_size")
        return self


Shipped = Annotated[LogShipping | None, BeforeValidator(listed)]
