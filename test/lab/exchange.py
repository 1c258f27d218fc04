"""What the manager asks of a device over channels: installs, retrievals, anything else by hand."""

import json
import re
import zlib

from channel import ChannelClosed, StreamError
from session import Refused

_RESULT_LINE = re.compile(r"(-?\d+): (.*)\Z", re.S)
_VERDICT = re.compile(r"result=(\S+)(?:\s+(.*))?\Z", re.S)
VERDICTS = {"committed", "rolled-back", "rebooted", "power-lost", "refused"}


class LineReader:
    """Lines out of a stream as they come, compressed or not."""

    def __init__(self):
        self._rest = b""
        self._inflate = None
        self._begun = False

    def feed(self, data):
        if not self._begun:
            self._begun = True
            self._inflate = zlib.decompressobj(wbits=31) if data[:2] == b"\x1f\x8b" else None
        self._rest += self._inflate.decompress(data) if self._inflate else data
        *lines, self._rest = self._rest.split(b"\n")
        return [line.rstrip(b"\r").decode("utf-8", "replace") for line in lines]

    def rest(self):
        last, self._rest = self._rest, b""
        return [last.decode("utf-8", "replace")] if last else []


def commands_of(script):
    """How many commands a script has: its lines that are neither empty nor comments."""
    return sum(1 for line in script.decode("utf-8", "replace").splitlines()
               if line.strip() and not line.strip().startswith("#"))


class Install:
    """One put_config: two streams out, result lines and a verdict back."""

    def __init__(self, session, install_id, set_script, unset_script, *, allow_reboot=False, force=False,
                 deflate=False, faults=None):
        self.session = session
        self.install_id = install_id
        self.scripts = (set_script, unset_script)
        self.faults = faults or {}
        self.verdict = None
        self.lines = 0
        self._commands = commands_of(set_script)
        self._keys = [("file_exch_cmd", "put_config"), ("install_id", install_id),
                      ("rollback_allow_reboot", str(int(allow_reboot))), ("force", str(int(force)))]
        self._keys += [("deflate", "gzip")] if deflate else []

    async def run(self):
        try:
            channel = await self.session.open_channel(self._keys)
        except Refused as refusal:
            self._note("install_refused", code=refusal.code, reason=refusal.reason)
            return
        except ChannelClosed as over:
            self._note("install_closed", code=over.code, reason=over.reason)
            return
        self._note("install_opened", channel=channel.local_id)
        channel.overrun = "overrun" in self.faults
        self.session.spawn(self._send_scripts(channel))
        await self._read_results(channel)

    async def _send_scripts(self, channel):
        for number, script in enumerate(self.scripts, 1):
            fault = self.faults.get(f"stream-{number}")
            if fault:
                await channel.send_stream(script, fault)
                continue
            wire = channel.prepared(script)
            await channel.send_bytes(wire[:len(wire) // 2])
            self.session.reach(f"stream-{number}-half")
            if self.faults.get("cut") == f"stream-{number}":
                self.session.close_channel(channel)
                return
            await channel.send_bytes(wire[len(wire) // 2:])
            self.session.reach(f"stream-{number}")
            self._note("stream_sent", number=number, bytes=len(wire))

    async def _read_results(self, channel):
        reader = LineReader()
        try:
            while (piece := await channel.next_item()) is not None:
                for line in reader.feed(piece):
                    self._line(line)
            for line in reader.rest():
                self._line(line)
            if self.verdict is None:
                self.session.deviates("install results", "a result= line before the stream's end", "none")
            # the device closes after our last acknowledgement
            await channel.next_item()
        except ChannelClosed as over:
            self._note("install_closed", code=over.code, reason=over.reason, verdict=self.verdict)
        except zlib.error as error:
            self.session.deviates("install results", "gzip", error)

    def _line(self, line):
        if self.verdict is not None:
            self.session.deviates("install results", "nothing after result=", repr(line))
        command = _RESULT_LINE.match(line)
        verdict = _VERDICT.match(line)
        if command:
            self.lines += 1
            self._note("result_line", n=self.lines, code=int(command[1]), command=command[2])
            self.session.reach(f"result-line-{self.lines}")
            if self.lines == self._commands:
                self.session.reach("results-done")
        elif verdict:
            self.verdict = verdict[1]
            self._check_verdict(line)
            self._note("result", result=verdict[1], rest=verdict[2] or "", line=line, lines=self.lines)
        else:
            self.session.deviates("install results", "CODE: COMMAND or result=...", repr(line))

    def _check_verdict(self, line):
        if self.verdict not in VERDICTS:
            self.session.deviates("result=", "|".join(sorted(VERDICTS)), repr(self.verdict))
        if self.verdict == "refused" and (self.lines or "reason=" not in line):
            self.session.deviates("result=refused", "alone, with reason=", repr(line))

    def _note(self, event, **fields):
        self.session.note(event, install_id=self.install_id, **fields)


class Script:
    """One put_script: the script out, the CLI's output back line by line, a result at its end."""

    def __init__(self, session, script_id, script, *, force=False, deflate=False):
        self.session = session
        self.script_id = script_id
        self._script = script
        self._lines = 0
        self._result = None
        self._keys = [("file_exch_cmd", "put_script"), ("script_id", script_id), ("force", str(int(force)))]
        self._keys += [("deflate", "gzip")] if deflate else []

    async def run(self):
        try:
            channel = await self.session.open_channel(self._keys)
        except Refused as refusal:
            self._note("script_refused", code=refusal.code, reason=refusal.reason)
            return
        except ChannelClosed as over:
            self._note("script_closed", code=over.code, reason=over.reason, result=None)
            return
        self._note("script_opened", channel=channel.local_id)
        self.session.spawn(channel.send_stream(self._script))
        await self._read(channel)

    async def _read(self, channel):
        reader = LineReader()
        try:
            while (piece := await channel.next_item()) is not None:
                for line in reader.feed(piece):
                    self._line(line)
            if self._result is None or reader.rest():
                self.session.deviates("script output", "result=... as its last line", repr(self._result))
            await channel.next_item()
        except ChannelClosed as over:
            self._note("script_closed", code=over.code, reason=over.reason, result=self._result)

    def _line(self, line):
        verdict = _VERDICT.match(line)
        if self._result is not None:
            self.session.deviates("script output", "nothing after result=", repr(line))
        self._lines += 1
        self._note("script_line", n=self._lines, line=line)
        self.session.reach(f"script-line-{self._lines}")
        if verdict:
            self._result = verdict[1]
            self._note("script_result", result=verdict[1], rest=verdict[2] or "")

    def _note(self, event, **fields):
        self.session.note(event, script_id=self.script_id, **fields)


async def get_config(session, full=False, deflate=False):
    """Retrieve the configuration; returns its text."""
    keys = [("file_exch_cmd", "get_config")] + ([("full", "1")] if full else [])
    keys += [("deflate", "gzip")] if deflate else []
    channel = await session.open_channel(keys)
    payload = await channel.read_stream()
    session.close_channel(channel)
    session.note("config", bytes=len(payload))
    return payload.decode("utf-8", "replace")


async def by_hand(session, keys, *, request="file_exchange", streams=(), raw=None, fault=None, expect=1,
                  hold=False, announce_window=True, raw_bytes=1):
    """Open a channel with any keys, send streams (or raw bytes), collect what comes back.

    Returns {"channel", "remote" (its number at the device), "streams": [text], "closed", "code", "reason"}; `hold`
    leaves the channel open and returns at once. Of a raw channel at least `raw_bytes` are read.
    """
    channel = await session.open_channel(keys, request, announce_window)
    back = {"channel": channel.local_id, "remote": channel.remote_id, "streams": [], "closed": False, "code": None,
            "reason": None}
    if hold:
        return back
    channel.streams_wanted = expect
    channel.overrun = fault == "overrun"
    try:
        if raw is not None:
            await channel.send_bytes(raw)
        for payload in streams:
            await channel.send_stream(payload, None if fault == "overrun" else fault)
        if channel.raw:
            got = b""
            while len(got) < raw_bytes:
                got += await channel.next_item()
            back["streams"].append(got.decode("latin-1"))
        for _ in range(0 if channel.raw else expect):
            back["streams"].append((await channel.read_stream()).decode("utf-8", "replace"))
        session.close_channel(channel)
    except ChannelClosed as over:
        back.update(closed=True, code=over.code, reason=over.reason)
    return back


async def take_receipt(session, channel, install_id):
    """The device delivers a receipt over a channel it opened."""
    try:
        receipt = json.loads(await channel.read_stream())
        if not isinstance(receipt, dict):
            raise ValueError("no object")
        session.note("receipt", install_id=install_id, receipt=receipt)
    except ChannelClosed as over:
        session.note("receipt_cut", install_id=install_id, reason=over.reason)
    except (ValueError, StreamError) as error:
        session.deviates("receipt", "a JSON object", error)
