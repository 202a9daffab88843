"""What is imported only where a database is configured, and what is said where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

from proxyd.database.entries import DatabaseError

_NEEDED = {"sqlite": ("sqlalchemy", "greenlet", "alembic", "aiosqlite")}
_NEEDED["postgresql"] = (*_NEEDED["sqlite"][:3], "asyncpg")


def require(kind: str) -> None:
    """Raise DatabaseError where a package is missing that a database of this kind needs."""
    missing = [name for name in _NEEDED[kind] if find_spec(name) is None]
    if missing:
        raise DatabaseError(
            f"the setting database needs {', '.join(missing)}, which is not installed: pip install 'proxyd[database]'"
        )
