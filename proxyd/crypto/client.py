"""TLS of clients off the request path: who is trusted, what is shown, and which name is asked for."""

from __future__ import annotations

import ssl
from typing import Any

from proxyd.crypto.certificate import TlsError, load_chain, read_pem


class ClientContext(ssl.SSLContext):
    """A context that may ask for, and check, another name than the one that is connected to."""

    name: str | None = None

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """As usual, with the name; every event loop comes through here."""
        if self.name is not None:
            kwargs["server_hostname"] = self.name
        return super().wrap_bio(*args, **kwargs)


def client_context(
    *,
    verify: bool = True,
    ca: str | None = None,
    cert: str | None = None,
    key: str | None = None,
    server_name: str | None = None,
) -> ssl.SSLContext:
    """Return a context; ``ca``, ``cert`` and ``key`` are files in PEM. Raises TlsError."""
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.name = server_name
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        try:
            context.load_verify_locations(cadata=read_pem(ca))
        except ssl.SSLError as error:
            raise TlsError(f"{ca}: {error.reason or error}") from error
    if cert is not None and key is not None:
        load_chain(context, read_pem(cert), read_pem(key))
    return context
