"""Gateways to talk through, and how long property tests look.

``HYPOTHESIS_PROFILE=long`` looks for an hour; give pytest ``--timeout 0`` with it.
"""

from __future__ import annotations

import os

from conversation import talk
from hypothesis import HealthCheck, settings

__all__ = ["talk"]  # a fixture for every test below

settings.register_profile(
    "long", max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("default", deadline=None)  # a busy machine is no failure
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
