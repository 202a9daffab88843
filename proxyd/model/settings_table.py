"""The settings as the documentation lists them."""

from __future__ import annotations

from proxyd.model.settings import Settings


def settings_table() -> str:
    """Return the settings as a Markdown table, for the documentation."""
    rows = ["| Setting | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(
            f"| `{name}` | {_shown(name, field.get_default(call_default_factory=True))} | {field.description} |"
        )
    return "\n".join(rows) + "\n"


def _shown(name: str, value: object) -> str:
    """Write a default the way a user would."""
    if value in (None, (), {}, "") and name != "database":
        return "none"
    if isinstance(value, bool) or name in {"workers", "database"}:
        return "`on`" if value else "`off`"
    if isinstance(value, tuple):
        return f"`{', '.join(str(item) for item in value)}`"
    if isinstance(value, float):
        return f"`{value / 86_400:g}d`" if value and not value % 86_400 else f"`{value:g}s`"
    if isinstance(value, int) and "size" in name and value % 1024 == 0:
        return f"`{value // 1024}k`"
    return f"`{value}`"
