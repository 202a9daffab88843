"""Settings of which requests are taken; ``front`` holds requests to them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from proxyd import plugin


class Requests(plugin.Config):
    """Which requests are GraphQL's."""

    get: bool = True
    """Whether queries may come by GET too; mutations never may."""
    csrf_prevention: bool = True
    """Whether requests are refused that a page of another site can have a browser send without asking first."""
    csrf_headers: tuple[Annotated[str, Field(pattern=plugin.HEADER_NAME)], ...] = Field(
        ("X-Apollo-Operation-Name", "Apollo-Require-Preflight", "GraphQL-Require-Preflight"), min_length=1
    )
    """Headers of which one is enough to show that a browser has asked first, or that none is there."""
    pages: bool = False
    """Whether GET requests without any arguments pass unexamined that accept HTML: for the backend's GraphiQL."""
    uploads: bool = False
    """Whether files may come with an operation, by the GraphQL multipart request specification."""
    max_upload_size: int = Field(16_777_216, gt=0)
    """Bytes of a body with files."""
