"""docs/configuration.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from proxyd.model.load import load_text
from proxyd.model.settings_table import settings_table
from proxyd.model.shapes import SHAPES

TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()


def test_the_table_of_settings_is_current():
    """The table is the one that the settings make."""
    table = re.search(r"<!-- settings: .*? -->\n(.*?)<!-- end of settings -->", TEXT, re.DOTALL)
    assert table[1] == settings_table()


@pytest.mark.parametrize("collection", SHAPES)
def test_every_collection_is_mentioned(collection):
    """Nobody has to guess what a file may hold."""
    assert f"`{collection}`" in TEXT


def test_the_examples_load(registry):
    """Each block of YAML is a file, or a part of one."""
    blocks = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        text = yaml.safe_dump({"_format_version": "3.0"} | yaml.safe_load(block))
        assert load_text(text, env={"MOBILE_APP_KEY": "k"}, plugins=registry).format_version == "3.0"
