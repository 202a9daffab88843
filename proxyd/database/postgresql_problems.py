"""What PostgreSQL, TLS and the network say, in words: what failed, and what to set."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING, Final

import asyncpg

from proxyd.database.words import LOCKED, NOT_MIGRATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxyd.database.target import Target

FOREIGN: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_MISMATCH: Final = frozenset(
    {62, 63, 64}
)  # X509_V_ERR_HOSTNAME_MISMATCH, of an e-mail address, of an IP address
# SQLSTATE -> what it means here.
_STATES: Final = {
    "42P01": NOT_MIGRATED,
    "42501": "its user may not do this: GRANT it the tables, and CREATE in the schema for migrations",
    "25006": "it is read-only, a standby perhaps: name the primary",
    "53300": "it has no connection left: raise max_connections there, or lower pg_pool_size",
    "57P03": "it is starting up, or shutting down",
    "57P01": "it is shutting down",
    "57P02": "it has crashed, and starts anew",
    "57014": "it took longer than database_timeout",
    "55P03": LOCKED,
    "53100": "its disk is full",
}
_UNTRUSTED: Final = ("CERTIFICATE", "UNKNOWN_CA")  # in alerts of a server that looks at who connects
_REFUSED: Final = "rejected SSL upgrade"  # asyncpg's words; the error has no class of its own


def is_without_tls(error: BaseException) -> bool:
    """Tell whether a server was reached that speaks no TLS."""
    return isinstance(error, ConnectionError) and _REFUSED in str(error)


def reason(causes: Sequence[BaseException], target: Target) -> str:
    """Return why a database is not to be had, empty where that is not known; ``causes`` lead to the driver's own error."""
    for cause in causes:
        found = (
            reason(cause.exceptions, target) if isinstance(cause, BaseExceptionGroup) else _one(cause, target)
        )
        if found:
            return found
    closed = any(
        isinstance(cause, (asyncpg.PostgresConnectionError, asyncpg.InterfaceError)) for cause in causes
    )
    return "the connection was closed" if closed else ""


def _one(error: BaseException, target: Target) -> str:
    if isinstance(error, ssl.SSLError):
        return _tls(error, target)
    # That a connection ended is the driver's word for it, and what ended it stands behind.
    if isinstance(error, asyncpg.PostgresError) and not isinstance(error, asyncpg.PostgresConnectionError):
        return _server(error, target)
    if is_without_tls(error):
        return (
            "it speaks no TLS: set ssl = on there; or, where nobody can listen on the way, "
            f"pg_ssl_mode: disable (it is {target.tls.mode})"
        )
    return _network(error, target)


def _network(error: BaseException, target: Target) -> str:
    if isinstance(error, socket.gaierror):
        return f"its name is not known: {error.strerror}"
    if isinstance(error, TimeoutError):
        return f"not reachable: no answer within {target.timeout:g} seconds"
    if isinstance(error, OSError):
        return f"not reachable: {os.strerror(error.errno) if error.errno else error}"
    return ""


def _tls(error: ssl.SSLError, target: Target) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _MISMATCH:
            hosts = ", ".join(host for host, _ in target.hosts)
            return (
                f"its certificate is not for {hosts}: name it by a name that the certificate has, "
                "or set pg_ssl_mode: verify-ca to look at the authority alone"
            )
        return (
            f"its certificate is not trusted ({error.verify_message}): set pg_ssl_root_cert to the file of the authority "
            "that has signed it"
        )
    if "ALERT" in (error.reason or "") and any(word in (error.reason or "") for word in _UNTRUSTED):
        return (
            "it does not take the client's certificate: look at pg_ssl_cert, and who it trusts (ssl_ca_file)"
        )
    return f"TLS failed: {error.reason or type(error).__name__}"


def _server(error: asyncpg.PostgresError, target: Target) -> str:
    state = error.sqlstate or ""
    words = str(error)
    if state == "28P01":
        return f"it does not take the password of user '{target.user}': look at the URL, PGPASSWORD, or ~/.pgpass"
    if state == "28000":
        return _not_let_in(words, target)
    if state == "3D000":
        return (
            f"there is no database '{target.database}': CREATE DATABASE {target.database} OWNER {target.user}"
        )
    # The words of other errors may quote what was written.
    return _STATES.get(state) or f"{type(error).__name__} ({state})"


def _not_let_in(words: str, target: Target) -> str:
    if "certificate" in words:
        return "it wants a certificate of the client: set pg_ssl_cert and pg_ssl_cert_key"
    if "no encryption" in words or "SSL off" in words:
        return (
            f"its pg_hba.conf lets user '{target.user}' in with TLS only: "
            f"set pg_ssl_mode: verify-full (it is {target.tls.mode})"
        )
    if "pg_hba.conf" in words:
        return f"its pg_hba.conf does not let user '{target.user}' in from here"
    return f"it does not let user '{target.user}' in: is there such a role, with LOGIN?"
