"""A MongoDB as far as a ping goes: no package brings a server, so this speaks its wire protocol with PyMongo's own BSON."""

from __future__ import annotations

import asyncio
import struct

import bson

HEADER = struct.Struct("<iiii")  # length, request, in answer to, kind
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
HELLO = {
    "ismaster": True,
    "isWritablePrimary": True,
    "helloOk": True,
    "maxBsonObjectSize": 16 << 20,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "readOnly": False,
    "ok": 1.0,
}


class MongoServer:
    """Answers greetings and pings; ``failure`` is answered to pings in place of that, ``silent`` leaves them unanswered."""

    def __init__(self, context=None):
        self.failure = None
        self.silent = False
        self.commands = []
        self.port = 0
        self._context = context
        self._server = None
        self._tasks = set()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            while True:
                length, request, _, kind = HEADER.unpack(await reader.readexactly(HEADER.size))
                body = await reader.readexactly(length - HEADER.size)
                command = self._command(kind, body)
                name = next(iter(command))
                self.commands.append(name)
                answer = HELLO if name.lower() in {"hello", "ismaster"} else self.failure or {"ok": 1.0}
                if name == "ping" and self.silent:
                    await asyncio.Event().wait()
                writer.write(self._answer(kind, request, bson.encode(answer)))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._tasks.discard(asyncio.current_task())
            writer.close()

    @staticmethod
    def _command(kind, body):
        if kind == OP_QUERY:
            return bson.decode(body[body.index(b"\0", 4) + 1 + 8 :])
        assert kind == OP_MSG
        return bson.decode(body[5 : 5 + struct.unpack_from("<i", body, 5)[0]])

    @staticmethod
    def _answer(kind, request, document):
        if kind == OP_QUERY:
            body, answered = struct.pack("<iqii", 8, 0, 0, 1) + document, OP_REPLY
        else:
            body, answered = struct.pack("<ib", 0, 0) + document, OP_MSG
        return HEADER.pack(HEADER.size + len(body), 1, request, answered) + body
