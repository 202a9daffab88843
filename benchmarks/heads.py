"""The requests that the load tool sends: browser-like heads that differ from one to the next."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Header = str | Callable[[int], str]

COUNT = 2048

_HOSTS = ("api.shop.example", "www.shop.example", "m.shop.example", "eu.shop.example")
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:14{0}.0) Gecko/20100101 Firefox/14{0}.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/14{0}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{0} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
)
_LANGUAGES = ("en-GB,en;q=0.9", "de-DE,de;q=0.9,en;q=0.7", "fr-FR,fr;q=0.8,en;q=0.5", "pt-BR,pt;q=0.9")
_SECTIONS = ("orders", "products", "customers", "baskets", "reviews")


def default_path(index: int, rng: random.Random) -> str:
    """Return a REST-like path with a query, different for nearly every index."""
    section = rng.choice(_SECTIONS)
    return f"/api/v1/{section}/{rng.randrange(100_000)}?page={rng.randrange(50)}&fields=id,name&_={index}"


def requests(
    path: Callable[[int, random.Random], str] = default_path,
    count: int = COUNT,
    headers: Mapping[str, Header] | None = None,
    upload: int = 0,
) -> list[str]:
    """Return ``count`` GET requests of 12 header lines and about 570 bytes; the same list in every run.

    ``headers`` come on top of them, one that is a function as what it makes of the request's number. With
    ``upload``, they are the heads of POSTs of so many bytes.
    """
    rng = random.Random(20_240)
    made = []
    for index in range(count):
        more = {name: value(index) if callable(value) else value for name, value in (headers or {}).items()}
        if upload:
            more["Content-Length"] = str(upload)
        made.append(_request("POST" if upload else "GET", path(index, rng), rng, more))
    return made


def _request(method: str, path: str, rng: random.Random, more: dict[str, str]) -> str:
    connection = more.pop("Connection", "keep-alive")
    host = rng.choice(_HOSTS)
    headers = (
        ("Host", host),
        ("User-Agent", rng.choice(_AGENTS).format(rng.randrange(10))),
        ("Accept", "application/json, text/plain, */*"),
        ("Accept-Language", rng.choice(_LANGUAGES)),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Referer", f"https://{host}/{rng.choice(_SECTIONS)}/{rng.randrange(10_000)}"),
        ("Cookie", f"session={rng.randbytes(12).hex()}; theme={rng.choice(('dark', 'light'))}"),
        ("X-Request-Id", rng.randbytes(16).hex()),
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "cors"),
        ("Sec-Fetch-Site", "same-origin"),
        *more.items(),
        ("Connection", connection),
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n"


def lua_script(heads: list[str], body: int | str = 0) -> str:
    """Return the wrk script that sends ``heads`` in turn and ends by printing one ``RESULT {json}`` line.

    Each is followed by the same ``body``, or by so many bytes.
    """
    # A JSON string of printable ASCII and \r\n is also a Lua string.
    table = ",\n".join(json.dumps(head) for head in heads)
    text = json.dumps(body) if isinstance(body, str) else f'string.rep("x", {body})'
    return f"""local heads = {{
{table}
}}
local count, next_one = #heads, 0
local body = {text}
if #body > 0 then
  for index = 1, count do heads[index] = heads[index] .. body end
end
request = function()
  next_one = next_one % count + 1
  return heads[next_one]
end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {{"requests":%d,"duration_us":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,' ..
    '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
"""
