"""docs/keys.md: its key is one, its scanner finds it, and its file loads."""

from __future__ import annotations

import re
from pathlib import Path

from proxyd.crypto.api_keys import SCANNED, KeyText, Pepper
from proxyd.model.load import load_text
from proxyd.plugins import BY_NAME
from proxyd.store.consumers import Consumers

TEXT = (Path(__file__).parents[2] / "docs/keys.md").read_text()
PEPPER = "an-example-pepper-0123456789abcdef"


def test_the_key_and_the_scanner():
    """The regular expression in the guide is the one of the code, and finds the key in the guide and nothing else."""
    assert f"\n    {SCANNED}\n" in TEXT
    (key,) = re.findall(SCANNED, TEXT)
    assert KeyText(key.encode()).id == "UqHgfqWpmaE3"


def test_the_file():
    """The key of the guide is that of the file in it, under the pepper that it was made with."""
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    configs = {name: one.Config for name, one in BY_NAME.items()}
    loaded = load_text(block, env={"PROXYD_KEY_PEPPER": PEPPER}, plugins=configs)
    assert loaded.configuration.peppers == (Pepper(PEPPER.encode()),)
    (key,) = re.findall(SCANNED, TEXT)
    found, _ = Consumers(loaded.configuration).hashed_key(key.encode())
    assert (found.name, found.scopes) == ("nightly export", ("orders:read",))
