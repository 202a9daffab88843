"""The demo backend: what stands behind the gateway in a first run and in the end-to-end tests.

An ordinary aiohttp application with one endpoint for each kind of traffic that the gateway carries: REST,
streams both ways, Server-Sent Events, GraphQL with a subscription, WebSockets. Everything is kept in memory.
"""

from __future__ import annotations

from proxyd.apps.demo.app import HOST, PORT, build_app, run_demo, start_demo

__all__ = ["HOST", "PORT", "build_app", "run_demo", "start_demo"]
