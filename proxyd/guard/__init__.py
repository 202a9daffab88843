"""For backends: let in only what came through the gateway.

The other side of the plugin internal-key. ``Guard`` decides, ``GuardedASGI`` and ``aiohttp_guard`` apply it. Nothing
here needs the rest of proxyd, and only ``aiohttp_guard`` needs aiohttp.
"""

from __future__ import annotations

from proxyd.guard.asgi import GuardedASGI
from proxyd.guard.verify import Guard, Refused

__all__ = ["Guard", "GuardedASGI", "Refused"]
