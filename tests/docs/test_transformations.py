"""The guide to transformations: its example loads, and what it says of templates is what they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxyd.errors import ConfigError
from proxyd.model.load import load_text
from proxyd.plugins import BY_NAME
from proxyd.transform.lua import MAX_RESULT
from proxyd.transform.methods import METHODS
from proxyd.transform.parser import MAX_DEPTH, MAX_OPERATIONS, ROOTS
from proxyd.transform.rules import FRAMING
from proxyd.transform.template import MAX_TEMPLATE

GUIDE = (Path(__file__).parents[2] / "docs/transformations.md").read_text()
PLUGINS = {name: plugin.Config for name, plugin in BY_NAME.items()}


def test_the_example_loads():
    """As it stands there, without a warning."""
    (text,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    loaded = load_text(text, env={}, plugins=PLUGINS)
    assert (len(loaded.plugin_configs), loaded.warnings) == (2, [])


def test_the_refusal_is_shown_as_it_is():
    """Place, complaint and hint of a template that names what there is not."""
    (shown,) = re.findall(r"```text\n(.*?)```", GUIDE, re.DOTALL)
    text = "\n".join(
        [
            '_format_version: "3.0"',
            "plugins:",
            "  - name: request-transformer",
            *["    # ..."] * 3,
            "    config:",
            "      add:",
            "        headers:",
            "          - x-ok:1",
            "          - \"Authorization: $(headers.apikey == sb_secret and 'x')\"",
        ]
    )
    with pytest.raises(ConfigError) as caught:
        load_text(text, "kong.yml", env={}, plugins=PLUGINS)
    assert " ".join(shown.split()) == str(caught.value)


def test_what_templates_may_hold_is_told():
    """Each table, each method, each limit."""
    assert [root for root in ROOTS if f"`{root}." not in GUIDE] == []
    assert [name for name in METHODS if f"`:{name}(" not in GUIDE] == []
    for words in (
        f"{MAX_TEMPLATE:,} characters",
        f"{MAX_OPERATIONS} operations",
        f"{MAX_DEPTH} levels",
        f"{MAX_RESULT // 1024} KiB",
    ):
        assert words in " ".join(GUIDE.split())


def test_what_cannot_be_set_is_told():
    """Each header that frames messages."""
    assert [name for name in FRAMING if f"`{name.decode()}`" not in GUIDE.lower()] == []
