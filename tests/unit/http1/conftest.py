"""Both ways of reading a head: with the compiled scanner in front, and without it."""

from __future__ import annotations

import pytest

from proxyd.http1 import parser


@pytest.fixture(params=["scanner", "python"])
def reading(request, monkeypatch):
    """Run a test with the scanner, where it was built, and once more without it."""
    if request.param == "scanner" and parser.scan_request is None:
        pytest.skip("the scanner was not built: no compiler, or no Cython")
    if request.param == "python":
        monkeypatch.setattr(parser, "scan_request", None)
        monkeypatch.setattr(parser, "scan_response", None)
    return request.param
