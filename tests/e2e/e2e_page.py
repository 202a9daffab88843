"""A page in a real browser, driven over its own protocol (Chrome DevTools): opened, clicked, typed into, looked at.

aiohttp's WebSocket is all that this takes, so that no other program or package has to fit the browser that is there.
What the page's console complains of is in ``complaints``: a script that fails, or what the policy of its content refuses.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from e2e_browser import _QUIET, CHROMIUM, PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[2]
AXE = ROOT / ".venv/node/dashboard/node_modules/axe-core/axe.min.js"
KEPT = ROOT / "artifacts/screenshots"  # what a run leaves for people to look at

_KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "Space": (32, " "),
    "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
    "Home": (36, ""),
    "End": (35, ""),
}

_FIND = """(() => {
  const what = %s
  const seen = (one) => one.getClientRects().length > 0
  if (/^[#.\\[]|^[a-z]+[#.\\[ ]/.test(what)) return [...document.querySelectorAll(what)].find(seen)
  const words = (one) => (one.getAttribute("aria-label") ?? one.textContent).trim()
  const all = [...document.querySelectorAll("a, button, label, summary, [role=tab], option")].filter(seen)
  const inside = all.filter((one) => one.closest("dialog"))
  return [...inside, ...all].find((one) => words(one) === what)
})()"""


class Page:
    """One tab. ``where`` is a CSS selector, or what is written on a button, link or label."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._number = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            method, params = told.get("method"), told.get("params", {})
            if "id" in told:
                self._waiting.pop(told["id"]).set_result(told)
            elif method == "Page.loadEventFired":
                self._loaded.set()
            elif method == "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"].get("exception", params)))
            elif method == "Log.entryAdded" and params["entry"]["source"] != "network":
                entry = params["entry"]
                self.complaints.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")

    async def call(self, method: str, **params: Any) -> Any:
        """Have the browser do something; raises AssertionError where it does not."""
        self._number += 1
        answer = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(json.dumps({"id": self._number, "method": method, "params": params}))
        async with asyncio.timeout(PATIENCE):
            told = await answer
        assert "error" not in told, (method, told["error"])
        return told["result"]

    async def close(self) -> None:
        """End."""
        await self._socket.close()
        await self._reading

    # --- going and looking -----------------------------------------------------------------------------------

    async def open(self, url: str) -> None:
        """Go to an address, and wait until it is loaded."""
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(PATIENCE):
            await self._loaded.wait()

    async def js(self, expression: str) -> Any:
        """Return what an expression gives, or a promise of one."""
        found = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, expression: str, within: float = 20.0) -> Any:
        """Wait until an expression is true, and return what it gives."""
        found = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not (found := await self.js(expression)):  # noqa: ASYNC110  # the browser sets no event
                    await asyncio.sleep(0.05)
        assert found, f"never true: {expression}\n{await self.text()}\n{self.complaints}"
        return found

    async def text(self, where: str = "body") -> str:
        """Return the text that is seen there."""
        return str(await self.js(f"document.querySelector({json.dumps(where)})?.innerText ?? ''"))

    async def sees(self, text: str, where: str = "body", within: float = 20.0) -> None:
        """Wait until a text is seen somewhere."""
        await self.until(
            f"document.querySelector({json.dumps(where)})?.innerText.includes({json.dumps(text)})", within
        )

    # --- hands -----------------------------------------------------------------------------------------------

    async def click(self, where: str) -> None:
        """Click at what is there, once it is."""
        find = _FIND % json.dumps(where)
        await self.until(f"Boolean({find})")
        box = await self.js(
            f"(() => {{ const one = {find}; one.scrollIntoView({{block: 'center'}});"
            " const box = one.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2] })()"
        )
        await self.point(*box)
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1
            )

    async def point(self, x: float, y: float) -> None:
        """Move the pointer."""
        await self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    async def write(self, where: str, text: str) -> None:
        """Type a text into a field, in place of what is in it."""
        find = _FIND % json.dumps(where)
        await self.until(f"Boolean({find})")
        await self.js(f"(() => {{ const one = {find}; (one.control ?? one).focus(); one.select?.() }})()")
        await self.call("Input.insertText", text=text)

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            code, text = _KEYS[key]
            named = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code}
            await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    # --- how it looks ----------------------------------------------------------------------------------------

    async def size(self, width: int, height: int = 900, *, phone: bool = False) -> None:
        """Give it a screen of this size."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    async def scheme(self, name: str) -> None:
        """Have the system prefer light or dark."""
        features = [
            {"name": "prefers-color-scheme", "value": name},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        await self.call("Emulation.setEmulatedMedia", features=features)
        await self.drawn()

    async def drawn(self) -> None:
        """Wait until what has changed is on the screen."""
        await self.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    async def shot(self, name: str, *, whole: bool = True) -> Path:
        """Keep a picture of it, all of it or what is on the screen."""
        await self.drawn()
        picture = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        KEPT.mkdir(parents=True, exist_ok=True)
        path = KEPT / f"{name}.png"
        path.write_bytes(base64.b64decode(picture["data"]))
        return path

    async def barriers(self) -> list[str]:
        """List what axe finds that keeps people out, serious and critical; needs the package axe-core."""
        if not await self.js("'axe' in window"):
            await self.js(AXE.read_text() + "; 0")
        found = await self.js("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"]
        ]


@contextlib.asynccontextmanager
async def browsing(profile: Path) -> AsyncIterator[Page]:
    """Run a browser with one empty page."""
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *_QUIET,
        f"--user-data-dir={profile}",
        "--remote-debugging-port=0",
        "--hide-scrollbars",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as client:
            url = await _page_url(client, profile / "DevToolsActivePort")
            socket = await client.ws_connect(url, max_msg_size=0)
            page = Page(socket)
            try:
                for domain in ("Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                await page.size(1280)
                await page.scheme("light")
                yield page
            finally:
                await page.close()
    finally:
        process.terminate()
        await process.wait()


def _port(written: Path) -> str | None:
    """Return the port that a browser has written down, once it has."""
    text = written.read_text() if written.exists() else ""
    return text.split()[0] if "\n" in text else None


async def _page_url(client: aiohttp.ClientSession, written: Path) -> str:
    async with asyncio.timeout(PATIENCE):
        while (port := _port(written)) is None:  # noqa: ASYNC110  # it sets no event
            await asyncio.sleep(0.05)
        while True:
            async with client.get(f"http://127.0.0.1:{port}/json/list") as answer:
                for one in await answer.json(content_type=None):
                    if one["type"] == "page":
                        return str(one["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)
