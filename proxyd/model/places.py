"""Where other services are, and how it is known that it is they: records that several settings share."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator
from yarl import URL

from proxyd.model.base import Entity, Switch


class Tls(Entity):
    """How a server is verified, and what it is shown."""

    verify: Switch = True
    """Whether its certificate is checked."""
    ca: str | None = Field(None, min_length=1)
    """By whom: a file of certificates in PEM; none: whom the system trusts."""
    cert: str | None = Field(None, min_length=1)
    """File of the gateway's own certificate, in PEM."""
    key: str | None = Field(None, min_length=1)
    """File of its key."""
    server_name: str | None = Field(None, min_length=1)
    """Name that the server is asked for and checked by; none: its host."""

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together")
        return self


def _endpoint(value: object) -> object:
    if value is None:
        return value
    try:
        url = URL(value) if isinstance(value, str) else URL()
        _ = url.port
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.raw_host or url.user or url.query_string:
        raise ValueError("must be a URL without credentials", "https://minio.internal:9000")
    return value


class S3(Entity):
    """A bucket of S3, MinIO and their kin; extra ``s3``."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$")
    """Its name."""
    endpoint: Annotated[str | None, BeforeValidator(_endpoint)] = None
    """The service, as a URL; none: Amazon's, of the region."""
    region: str = Field("us-east-1", min_length=1)
    """Its region."""
    path_style: Switch | None = None
    """Whether the bucket stands in the path, not in the host; none: it does where there is an endpoint."""
    access_key_id: str | None = Field(None, min_length=1, repr=False)
    """Who asks; none: where Amazon's tools look (AWS_ACCESS_KEY_ID, profiles, roles of pods and machines)."""
    secret_access_key: str | None = Field(None, min_length=1, repr=False)
    """Its secret, best as a reference into the environment."""
    session_token: str | None = Field(None, min_length=1, repr=False)
    """The token of temporary credentials."""
    tls: Tls | None = None
    """How an https endpoint is verified; none: by whom the system trusts."""

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token needs access_key_id and secret_access_key")
        return self

    @property
    def in_path(self) -> bool:
        """Whether the bucket stands in the path."""
        return self.endpoint is not None if self.path_style is None else self.path_style

    def __str__(self) -> str:
        """Name the place, without who asks."""
        return f"{self.endpoint or f's3.{self.region}'}/{self.bucket}"
