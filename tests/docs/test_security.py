"""The guide to hostile input says what the corpus says."""

from __future__ import annotations

import re
from pathlib import Path

from hostile_corpus import ANSWERS, REQUESTS, table

from proxyd.downstream.listener import PROMPT
from proxyd.gateway.relay import MAX_INTERIM
from proxyd.http1.framing import MAX_CHUNK_LINE, MAX_EXTENSIONS, MAX_TRAILERS

GUIDE = (Path(__file__).parents[2] / "docs/security.md").read_text()


def test_the_table_is_the_corpus():
    """Each class, its cases and what becomes of them; ``hostile_corpus.table`` makes it."""
    made = re.search(r"<!-- corpus: .*? -->\n\n(.*)<!-- end of corpus -->", GUIDE, re.DOTALL)
    assert made[1] == table() + "\n"


def test_every_status_of_a_refusal_is_explained():
    """The list of refusals names each status that the corpus knows, for requests and for answers."""
    for case in (*REQUESTS.values(), *ANSWERS.values()):
        for word, status, _ in case.steps:
            if word == "refused":
                assert f"| {status} |" in GUIDE


def test_the_limits_are_those_of_the_code():
    """The figures of the guide are the constants'."""
    assert f"{MAX_CHUNK_LINE} bytes of a chunk line" in GUIDE
    assert f"{MAX_EXTENSIONS // 1024} KiB of chunk lines" in GUIDE
    assert f"{MAX_TRAILERS // 1024} KiB of trailers" in GUIDE
    assert f"{MAX_INTERIM} interim answers" in GUIDE
    assert f"{PROMPT:g} second" in GUIDE
