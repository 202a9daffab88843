"""The reference of plugins: types and defaults in a few words."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field

from proxyd import plugin
from proxyd.cli.reference import index, reference, section
from proxyd.plugins import PLUGINS


class Place(plugin.Config):
    """A record."""

    host: str = "h"
    """Where."""


class Config(plugin.Config):
    """Settings of the sample."""

    needed: str
    """What must be given."""
    kinds: list[Literal["a", "b"]] = Field(default_factory=list)
    """Some of two."""
    count: int | None = Field(None, ge=1, le=5)
    """How many."""
    kept: bool = Field(False, alias="json")
    """Whether, under a name that no attribute can have."""
    place: Place = Place()
    """A place."""
    places: tuple[Place, ...] | None = None
    """Places."""


class Sample(plugin.Plugin[Config]):
    """Does nothing."""

    name = "sample"
    priority = 7
    answers = ((418, "it is a teapot"), ("count", "it is not"))

    def log(self, exchange):
        """Do nothing."""


@pytest.mark.parametrize(
    "row",
    [
        "| `needed` | string | required | What must be given. |",
        "| `kinds` | list of `a`, `b` | `[]` | Some of two. |",
        "| `count` | integer 1 to 5 | none | How many. |",
        "| `json` | boolean | `false` | Whether, under a name that no attribute can have. |",
        "| `place` | record | `{}` | A place. |",
        '| `place.host` | string | `"h"` | Where. |',
        "| `places` | list of record | none | Places. |",
        '| `places[].host` | string | `"h"` | Where. |',
    ],
)
def test_a_setting_is_a_row(row):
    """Name, type, default and meaning."""
    assert row in section(Sample).splitlines()


def test_a_section_tells_when_a_plugin_runs():
    """Its sentence, its priority and the phases that it defines."""
    assert section(Sample).splitlines()[2:5] == ["Does nothing.", "", "Priority 7; phases log."]


def test_a_status_is_a_row():
    """The statuses that a plugin answers with, or the settings that hold them."""
    rows = ["| `418` | it is a teapot |", "| `count` | it is not |"]
    assert section(Sample).splitlines()[-2:] == rows


def test_every_plugin_has_a_section():
    """In the order in which they run."""
    headings = [line[5:-1] for line in reference().splitlines() if line.startswith("### ")]
    assert headings == [one.name for one in PLUGINS]


def test_every_plugin_is_in_the_index():
    """One row each, with a link to its section and its first sentence."""
    rows = index().splitlines()[2:]
    assert len(rows) == len(PLUGINS)
    assert "| [`redirect`](#redirect) | 779 | Sends every client to another URL. |" in rows
