"""Which route a request goes to: Kong's ``traditional_compatible`` rules over an index.

Built once per configuration and asked once per request, after the head was parsed and before any plugin.
``rule`` says what a route asks for and how routes rank, ``conditions`` and ``patterns`` test single things,
``hosts`` and ``index`` find the few rules worth testing, ``router`` puts them together, ``explain`` tells why.
"""

from proxyd.gateway.router.explain import Explanation, Verdict
from proxyd.gateway.router.patterns import PatternError
from proxyd.gateway.router.router import Match, Router
from proxyd.gateway.router.rule import Priority, Rule

__all__ = ["Explanation", "Match", "PatternError", "Priority", "Router", "Rule", "Verdict"]
