"""One entry of the audit log."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from proxyd.database.entries import Author
from proxyd.telemetry.access_line import timestamp

if TYPE_CHECKING:
    from proxyd.database.entries import AuditQuery

LOGIN_FAILED: Final = "login_failed"  # the action of whoever has no right token


@dataclass(frozen=True, slots=True)
class Record:
    """What was done, by whom, and what it was done to; ``before`` and ``after`` hold no secrets.

    ``number`` counts up; what the database has written down has an id of digits alone.
    """

    number: int
    id: str
    at: float
    author: Author
    action: str
    collection: str = ""
    entity: str = ""
    before: Any = field(default=None, repr=False)
    after: Any = field(default=None, repr=False)
    revision: int | None = None

    def document(self) -> dict[str, Any]:
        """Return it as it is shown, and written to the file."""
        return {
            "id": self.id,
            "time": timestamp(self.at),
            "who": self.author.name,
            "role": self.author.role,
            "address": self.author.address,
            "request_id": self.author.request_id,
            "action": self.action,
            "collection": self.collection or None,
            "entity": self.entity or None,
            "before": self.before,
            "after": self.after,
            "revision": self.revision,
        }

    @classmethod
    def of(cls, number: int, told: Any) -> Record | None:
        """Return an entry out of a line of the file, or None where it is no such line."""
        try:
            author = Author(told["who"], told["role"], told["address"], told["request_id"])
            return cls(
                number,
                told["id"],
                datetime.fromisoformat(told["time"]).timestamp(),
                author,
                told["action"],
                told["collection"] or "",
                told["entity"] or "",
                told["before"],
                told["after"],
                told["revision"],
            )
        except (KeyError, TypeError, ValueError):
            return None

    def fits(self, query: AuditQuery) -> bool:
        """Tell whether it is one of those that are asked for, whatever page they are on."""
        return (
            query.collection in {"", self.collection}
            and query.id in {"", self.entity}
            and query.who in {"", self.author.name}
            and query.revision in {0, self.revision}
            and self.at >= query.since
            and (not query.until or self.at < query.until)
        )
