"""The control socket: JSON Lines over a unix socket.

One request a line, {"op": NAME, ...}; one answer a line, {"ok": true, ...} or {"ok": false, "error": TEXT}.
The request {"op": "events", "since": N} turns the connection into a stream of events.
"""

import asyncio
import contextlib
import json
import os
import socket
import time

LINE_LIMIT = 64 * 1024 * 1024


class ControlError(Exception):
    """The manager answered with an error, or not at all."""


class ControlServer:
    """Serves Manager.op_* methods."""

    def __init__(self, manager, path):
        self._manager = manager
        self._path = path

    async def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        await asyncio.start_unix_server(self._client, self._path, limit=LINE_LIMIT)

    def stop(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    async def _client(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while line := await reader.readline():
                request = self._decode(line)
                if request.get("op") == "events":
                    await self._stream(writer, int(request.get("since", 0)))
                writer.write(json.dumps(await self._answer(request)).encode() + b"\n")
                await writer.drain()
        writer.close()

    @staticmethod
    def _decode(line):
        try:
            request = json.loads(line)
        except ValueError:
            return {}
        return request if isinstance(request, dict) else {}

    async def _answer(self, request):
        name = str(request.pop("op", ""))
        method = getattr(self._manager, f"op_{name}", None)
        if method is None:
            return {"ok": False, "error": f"unknown operation {name!r}"}
        try:
            return {"ok": True, **(await method(**request) or {})}
        except Exception as error:  # a bad request must not end the lab
            return {"ok": False, "error": str(error) or type(error).__name__}

    async def _stream(self, writer, since):
        async for event in self._manager.events.follow(since):
            writer.write(json.dumps(event).encode() + b"\n")
            await writer.drain()


class ControlClient:
    """Blocking client, one connection per request."""

    def __init__(self, path):
        self.path = path

    def call(self, op, **arguments):
        """One request; returns the answer without its `ok`, or raises ControlError."""
        timeout = float(arguments.get("timeout", 10)) + 65
        try:
            with self._connect(timeout) as sock, sock.makefile("rwb") as stream:
                stream.write(json.dumps({"op": op, **arguments}).encode() + b"\n")
                stream.flush()
                line = stream.readline()
        except OSError as error:
            raise ControlError(f"{self.path}: {error.strerror or error}") from None
        if not line:
            raise ControlError(f"{self.path}: no answer")
        answer = json.loads(line)
        if not answer.pop("ok"):
            raise ControlError(answer.get("error", "failed"))
        return answer

    def events(self, since=0, timeout=None):
        """Stream of events: endless, or until `timeout` seconds after the start."""
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            with self._connect(timeout) as sock, sock.makefile("rwb") as stream:
                stream.write(json.dumps({"op": "events", "since": since}).encode() + b"\n")
                stream.flush()
                for line in stream:
                    yield json.loads(line)
                    if deadline is not None:
                        sock.settimeout(max(0.001, deadline - time.monotonic()))
        except OSError as error:
            raise ControlError(f"{self.path}: {error.strerror or error}") from None

    def _connect(self, timeout):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(self.path)
        except OSError:
            sock.close()
            raise
        return sock
