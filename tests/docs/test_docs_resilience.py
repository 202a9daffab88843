"""The guide to upstreams has each field of a resilience, with its default."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from proxyd.model.resilience import Resilience

GUIDE = (Path(__file__).parents[2] / "docs/upstreams.md").read_text()


def shown(default):
    return str(default).lower() if isinstance(default, bool) else f"{default:g}"


@pytest.mark.parametrize("part", Resilience.model_fields)
def test_each_field_is_told_with_its_default(part):
    """A row of a table, as the settings have them."""
    (model, _) = get_args(Resilience.model_fields[part].annotation)
    missing = [
        name
        for name, field in model.model_fields.items()
        if f"| `{name}` | {shown(field.default)} |" not in GUIDE
    ]
    assert (f"`{part}`" in GUIDE or f"{part}:" in GUIDE, missing) == (True, [])
