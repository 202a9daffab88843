"""What is said of databases of either kind."""

from __future__ import annotations

from typing import Final

LOCKED: Final = "others hold its lock for longer than database_timeout"
NOT_MIGRATED: Final = "it has not been migrated: run proxyd migrate"
