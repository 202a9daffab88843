"""The tables, as the newest migration leaves them. Their names begin with ``proxyd_``, for others may share a database."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

METADATA: Final = sa.MetaData()
VERSIONS: Final = "proxyd_migrations"  # Alembic's own
HEAD: Final = "0001"  # the migration that leaves the tables as they stand here
CHANNEL: Final = "proxyd_changes"  # of PostgreSQL's notifications, each of which is a new revision

# One row, whose lock is the right to write. ``pruned`` is the revision up to which tombstones are gone: who has read less
# reads everything. ``audited`` is the number of the last entry of the audit log.
REVISION: Final = sa.Table(
    "proxyd_revision",
    METADATA,
    sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("pruned", sa.BigInteger, nullable=False),
    sa.Column("audited", sa.BigInteger, nullable=False),
    sa.Column("migrated_by", sa.Text, nullable=False),
)

# A document that is NULL is a tombstone: who reads only what is newer learns from it that the entity is gone.
ENTITIES: Final = sa.Table(
    "proxyd_entities",
    METADATA,
    sa.Column("collection", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("document", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False, index=True),
)

# Secrets in ``before`` and ``after`` are masked before they get here.
AUDIT: Final = sa.Table(
    "proxyd_audit",
    METADATA,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False, index=True),
    sa.Column("revision", sa.BigInteger, nullable=False, index=True),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("entity", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
    sa.Index("proxyd_audit_entity", "collection", "entity"),
)

# What an entry of the audit log has changed, as it was, secrets included: nothing shows it, and undoing a change reads it.
UNDO: Final = sa.Table(
    "proxyd_undo",
    METADATA,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False, index=True),
    sa.Column("document", sa.Text),
)

LAST_USED: Final = sa.Table(
    "proxyd_last_used",
    METADATA,
    sa.Column("credential", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
)
