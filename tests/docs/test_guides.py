"""The guides say what is: verbs and options, plugins and their settings, decisions and links."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from proxyd.cli.parser import build_parser
from proxyd.cli.reference import reference

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = sorted(DOCS.rglob("*.md"))


def verbs(parser=None, before=""):
    """Return the parser of each verb; those of a group stand behind its name."""
    found = {}
    for action in (parser or build_parser())._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, verb in action.choices.items():
                below = verbs(verb, f"{before}{name} ")
                found |= below or {f"{before}{name}": verb}
    return found


def test_every_verb_and_option_is_in_the_guide():
    """docs/cli.md names each verb, and each of its options in every spelling."""
    guide = (DOCS / "cli.md").read_text()
    missing = [name for name in verbs() if f"`proxyd {name}" not in guide]
    for name, verb in verbs().items():
        options = {option for action in verb._actions for option in action.option_strings} - {"-h", "--help"}
        missing += [f"{name} {option}" for option in options if not re.search(rf"{option}\b", guide)]
    assert missing == []


def test_the_plugins_reference_is_current():
    """docs/plugins.md holds what the plugins' classes say; proxyd.cli.reference makes it."""
    text = (DOCS / "plugins.md").read_text()
    made = re.search(r"<!-- plugins: .*? -->\n(.*)<!-- end of plugins -->", text, re.DOTALL)
    assert made[1] == reference()


def test_every_decision_is_listed():
    """The list of decisions names each record, by its title."""
    listed = (DOCS / "adr/README.md").read_text()
    for record in DOCS.glob("adr/0*.md"):
        title = record.read_text().splitlines()[0].removeprefix("# ")
        assert f"- [{title}]({record.name})" in listed


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_links_of_the_guides_lead_somewhere(guide):
    """A relative link names a file that exists."""
    links = re.findall(r"\]\(([^)#:]+)\)", guide.read_text())
    assert [link for link in links if not (guide.parent / link).exists()] == []
