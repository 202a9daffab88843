"""What docs/database.md says is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxyd.model.database import SSL_MODES, parse_database

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/database.md").read_text()
SOURCE = " ".join(path.read_text() for path in sorted((ROOT / "proxyd/database").glob("*.py")))
SAID = re.findall(
    r"`([^`]+)`", "".join(re.findall(r"^\| (`(?:not|its|it|there|a newer).*?) \|", GUIDE, re.MULTILINE))
)


def test_the_errors_of_the_guide_are_those_of_the_code():
    """Whoever looks for what was said finds it as it was said."""
    pieces = [piece.strip() for said in SAID for piece in said.split("…") if piece.strip(" ()")]
    assert len(pieces) > 15
    assert [piece for piece in pieces if piece.strip("()") not in SOURCE.replace("{user}", "")] == []


def test_every_mode_of_tls_is_in_the_guide():
    """The table has a row for each."""
    assert [mode for mode in SSL_MODES if not re.search(rf"^\| `{mode}`", GUIDE, re.MULTILINE)] == []


@pytest.mark.parametrize("url", re.findall(r"(?:sqlite|postgresql)://[^\s`)]+", GUIDE))
def test_the_urls_of_the_guide_are_taken(url):
    """Each is one that the setting takes."""
    assert parse_database(url.replace(":PORT", ":5432")) is not None
