"""The guide to GraphQL says what is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from proxyd.cli.config import plugin_configs
from proxyd.graphql.subscriptions import outcomes, protocols
from proxyd.model.load import load_text

GUIDE = (Path(__file__).parents[2] / "docs/graphql.md").read_text()
PLUGINS = [text for text in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL) if text.startswith("plugins:")]


@pytest.mark.parametrize("text", PLUGINS)
def test_its_plugins_can_be_configured(text):
    """Each of its examples loads."""
    document = {"_format_version": "3.0", **yaml.safe_load(text)}
    env = {"GRAPHQL_TOKEN_SECRET": "a" * 32}
    load_text(json.dumps(document), env=env, plugins=plugin_configs(), overrides={})


def test_every_close_code_is_in_its_table():
    """What a client is told, it can look up."""
    told = {code for code, _ in [outcomes.LOST, outcomes.UNREACHABLE, outcomes.EXPIRED, outcomes.LEAVING]}
    told |= {outcomes.of_status(status)[0] for status in range(400, 600)}
    told |= {protocols.INIT_TIMEOUT, protocols.ALREADY_EXISTS, protocols.TOO_MANY_INITS}
    listed = {int(code) for row in re.findall(r"(?m)^\| ([\d, ]+) \|", GUIDE) for code in row.split(", ")}
    assert told <= listed
