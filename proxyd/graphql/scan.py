"""What a document is before anybody parses it: its tokens counted and its brackets followed, in one pass.

Parsing takes some microseconds for each token and a handful of Python's frames for each level, so a text that is too long or
too deep is refused before. The pass looks at what begins each token and jumps over what is in it; it stops at the
first token that is one too many.
"""

from __future__ import annotations

import re
from typing import Final

# One token of GraphQL (section 2.1.6), or a bracket in a group of its own. Strings and comments are jumped over whole, for what
# is in them is no bracket. Possessive, so that nothing is tried twice: the pass is linear whatever it meets. What begins no token
# is one character, and a string that does not end is all that is left of its line or of the text: the parser complains of those.
_TOKEN: Final = re.compile(
    r"""
    [\s,\ufeff]*+
    (?:
      (?P<open>[\[{(]) | (?P<close>[\]})])
      | [_A-Za-z][_A-Za-z0-9]*+
      | -?[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+
      | \.\.\.
      | \#[^\n\r]*+
      | "{3}(?:[^"\\]++|\\(?:"{3})?+|"{1,2}+(?!"))*+"{0,3}+
      | "(?:[^"\\\n\r]++|\\.)*+"?+
      | [^\s,]
      | (?P<end>\Z)
    )
    """,
    re.VERBOSE,
)


def scan(text: str, max_tokens: int, max_nesting: int) -> tuple[int, int]:
    """Return how many tokens a document has, comments among them, and how many brackets are open at once.

    It stops once one of them is beyond its maximum.
    """
    tokens = depth = deepest = 0
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind is not None:
            if kind == "end":
                break
            if kind == "open":
                depth += 1
                deepest = max(deepest, depth)
            else:
                depth -= 1
        tokens += 1
        if tokens > max_tokens or deepest > max_nesting:
            break
    return tokens, deepest
