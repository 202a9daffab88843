"""The fixtures of every test of the Admin API."""

from admin_case import serve  # noqa: F401 - a fixture
