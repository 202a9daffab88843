"""Connections to PostgreSQL, protected as the target asks for."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from proxyd.database.engine import FOR_A_LOCK
from proxyd.database.entries import DatabaseError
from proxyd.database.postgresql_problems import is_without_tls

if TYPE_CHECKING:
    from proxyd.database.target import Target, Tls


def make_engine(target: Target, patience: float) -> AsyncEngine:
    """Return an engine; nothing is connected yet."""

    async def connect(*_arguments: Any, **_options: Any) -> asyncpg.Connection:
        return await dial(target, patience)

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=target.pool_size,
        max_overflow=0,
        pool_timeout=patience,
        pool_pre_ping=True,  # a server that was restarted has closed them all
        hide_parameters=True,  # they are entities, and an error would show them
    )


async def dial(target: Target, patience: float) -> asyncpg.Connection:
    """Return a connection, on which one statement takes so many seconds at most."""
    context = tls_context(target)
    if target.tls.mode != "prefer":
        return await _dial(target, patience, context)
    try:
        return await _dial(target, patience, context)
    except (OSError, asyncpg.PostgresError) as error:
        if not is_without_tls(error):
            raise
        return await _dial(target, patience, None)


async def _dial(target: Target, patience: float, context: ssl.SSLContext | None) -> asyncpg.Connection:
    limit = int(1000 * patience)
    return await asyncpg.connect(
        host=[host for host, _ in target.hosts],
        port=[port for _, port in target.hosts],
        user=target.user,
        password=target.password or None,  # then asyncpg looks into ~/.pgpass
        database=target.database,
        ssl=context or False,
        timeout=target.timeout,
        command_timeout=patience,
        target_session_attrs="read-write" if len(target.hosts) > 1 else "any",
        server_settings={
            "application_name": target.application,
            "statement_timeout": str(limit),
            "lock_timeout": str(int(FOR_A_LOCK * limit)),
            # A machine that goes away while it holds the lock lets others write again. What decides on much takes its time.
            "idle_in_transaction_session_timeout": str(3 * limit),
        },
    )


def tls_context(target: Target) -> ssl.SSLContext | None:
    """Return what connections are protected by, None for nothing; raises DatabaseError where a file is not to be used.

    As with libpq, ``require`` verifies the certificate where it is said who has signed it.
    """
    tls = target.tls
    if tls.mode == "disable":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.mode == "verify-full"
    verifies = tls.mode.startswith("verify") or (tls.mode == "require" and bool(tls.root_cert))
    context.verify_mode = ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE
    if verifies:
        _trust(context, target, tls)
    if tls.cert or tls.key:
        _identify(context, target, tls)
    return context


def _trust(context: ssl.SSLContext, target: Target, tls: Tls) -> None:
    if tls.root_cert in ("", "system"):
        context.load_default_certs()
        return
    try:
        context.load_verify_locations(tls.root_cert)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(target, "sslrootcert (pg_ssl_root_cert)", tls.root_cert, error) from None


def _identify(context: ssl.SSLContext, target: Target, tls: Tls) -> None:
    if not tls.cert:
        raise DatabaseError(f"database {target}: sslkey is given without sslcert: set pg_ssl_cert")
    try:
        # Where a key has a password, this is what OpenSSL is told, and not to ask on the terminal.
        context.load_cert_chain(tls.cert, tls.key or None, password="")
    except (OSError, ssl.SSLError, ValueError) as error:
        raise _unusable(
            target, "sslcert (pg_ssl_cert) with sslkey (pg_ssl_cert_key)", tls.cert, error
        ) from None


def _unusable(target: Target, what: str, path: str, error: Exception) -> DatabaseError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else ""
    if isinstance(error, ssl.SSLError):
        reason = (
            "the key is not that of the certificate"
            if "MISMATCH" in str(error.reason)
            else "it is not in PEM"
        )
    return DatabaseError(f"database {target}: {what} cannot be used: {path}: {reason or 'not readable'}")
