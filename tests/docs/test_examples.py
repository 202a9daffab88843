"""What the guides show can be copied: each configuration loads as it stands, and the Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxyd.cli.config import plugin_configs
from proxyd.model.load import load_text

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMES = re.compile(r"vault://[\w-]+/([\w-]+)|\$\{(\w+)\}|env \"(\w+)\"")

PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(pattern):
    """Return every block of a kind, named by its guide."""
    return [
        pytest.param(block, id=f"{guide.stem}-{number}")
        for guide in sorted(DOCS.rglob("*.md"))
        for number, block in enumerate(pattern.findall(guide.read_text()))
    ]


@pytest.mark.parametrize("block", blocks(BLOCK))
def test_an_example_loads(block):
    """A part of a file is taken for the top level of one; the variables that it names are set."""
    if "name: opentelemetry" in block:
        pytest.importorskip(
            "opentelemetry.exporter.otlp.proto.common", reason="the extra otel is not installed"
        )
    text = block if "_format_version" in block else f'_format_version: "3.0"\n{block}'
    names = {name for found in NAMES.findall(text) for name in found if name}
    variables = {name.replace("-", "_").upper(): "a" * 32 for name in names}
    env = {**variables, **{f"SHOP_{name}": value for name, value in variables.items()}}
    env["PROXYD_KEY_PEPPER"] = (
        "an-example-pepper-0123456789abcdef"  # which the hashes of the guides are made with
    )
    assert load_text(text, env=env, plugins=plugin_configs()).configuration is not None


@pytest.mark.parametrize("block", blocks(PYTHON))
def test_a_piece_of_python_runs(block):
    """It imports what it uses, and defines something."""
    names = {"__name__": "example"}
    exec(compile(block, "guide", "exec"), names)
    assert names.keys() - {"__name__", "__builtins__"}
