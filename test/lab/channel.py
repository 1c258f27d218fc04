"""Channels: numbered byte pipes inside a session, with a window each way and coded streams on top.

A Channel judges its peer: overrun of our window, acknowledgements that run ahead, go back, come too late
or cover too much at once, and streams that are not coded as `<decimal length>\\n<bytes>` … `0\\n` are all
reported through the `deviates` callback.
"""

import asyncio
import gzip
import zlib

DEFAULT_WINDOW = 32768
MAX_CHUNK_HEADER = 10
MAX_STREAM = 64 * 1024 * 1024

# ways to spoil one coded stream: name -> (bytes put in front, whether the good stream follows, final mark)
STREAM_FAULTS = {
    "bad-length": (b"12x\nabc", False, b""),
    "huge-length": (b"99999999999999999999\nabc", False, b""),
    "max-length": (b"4294967295\nabc", False, b""),
    "negative-length": (b"-5\nabc", False, b""),
    "empty-length": (b"\nabc", False, b""),
    "no-end": (b"", True, b""),
}


class StreamError(Exception):
    """Bytes that are no coded stream."""


class ChannelClosed(Exception):
    """The peer closed the channel (or the session ended) before the exchange was over."""

    def __init__(self, code=None, reason=None):
        super().__init__(f"closed, code={code} reason={reason}")
        self.code = code
        self.reason = reason


class StreamDecoder:
    """Strict decoder of one or more coded streams, fed piecewise."""

    def __init__(self):
        self._header = b""
        self._left = 0

    def feed(self, data):
        """Return a list of byte strings and None marks, one None at each stream's end."""
        out = []
        position = 0
        while position < len(data):
            if self._left:
                piece = data[position:position + self._left]
                self._left -= len(piece)
                position += len(piece)
                out.append(piece)
            else:
                position = self._take_header(data, position, out)
        return out

    @property
    def between_streams(self):
        return not self._left and not self._header

    def _take_header(self, data, position, out):
        byte = data[position:position + 1]
        if byte != b"\n":
            if not byte.isdigit():
                raise StreamError(f"byte {byte!r} in a chunk length")
            self._header += byte
            if len(self._header) > MAX_CHUNK_HEADER:
                raise StreamError(f"chunk length of more than {MAX_CHUNK_HEADER} digits")
            return position + 1
        if not self._header or (self._header[:1] == b"0" and self._header != b"0"):
            raise StreamError(f"chunk length {self._header!r}")
        self._left = int(self._header)
        if self._left > MAX_STREAM:
            raise StreamError(f"chunk of {self._left} bytes")
        if not self._left:
            out.append(None)
        self._header = b""
        return position + 1


def encode_stream(payload, chunk=4096):
    """One coded stream, its final `0\\n` included."""
    pieces = [payload[i:i + chunk] for i in range(0, len(payload), chunk)]
    return b"".join(b"%d\n%s" % (len(p), p) for p in pieces) + b"0\n"


def inflate(payload):
    """Undo deflate=gzip: exactly one gzip member."""
    engine = zlib.decompressobj(wbits=31)
    plain = engine.decompress(payload)
    if not engine.eof or engine.unused_data:
        raise StreamError("deflate=gzip, but the stream is not exactly one gzip member")
    return plain


class Channel:
    """One channel, seen from our end.

    `send` takes (keys, data) of a `channel` message; `deviates` takes (what, expected, got);
    `settings` is a mapping with ack, chunk and ack_timeout.
    """

    def __init__(self, local_id, window, send, deviates, settings):
        self.local_id = local_id
        self.remote_id = None
        self.window_in = window
        self.window_out = DEFAULT_WINDOW
        self.raw = False
        self.deflate = False
        self.streams_wanted = 1
        self.overrun = False
        self.on_end = None
        self.sent = self.acked_by_peer = 0
        self.received = self.acked_by_us = 0
        self.closed = False
        self.close_code = self.close_reason = None
        self._largest_sent = 0
        self._streams_seen = 0
        self._send = send
        self._deviates = deviates
        self._settings = settings
        self._decoder = StreamDecoder()
        self._moved = asyncio.Event()
        self._incoming = asyncio.Queue()

    # what we send

    async def send_bytes(self, data):
        """Send raw bytes as fast as the window allows."""
        position = 0
        while position < len(data):
            room = await self._credit()
            piece = data[position:position + min(room, self._settings["chunk"])]
            self._put(piece)
            position += len(piece)
            await asyncio.sleep(0)

    def prepared(self, payload):
        """A payload as it goes onto the wire: compressed if so agreed, then coded."""
        return encode_stream(gzip.compress(payload) if self.deflate else payload)

    async def send_stream(self, payload, fault=None):
        """Send one coded stream, or one spoilt in the named way."""
        wire = self.prepared(payload)
        if fault:
            front, follows, end = STREAM_FAULTS[fault]
            wire = front + (wire[:-2] if follows else b"") + end
        await self.send_bytes(wire)
        if not fault:
            self._expect_ack_of(self.sent)

    def close(self, code=None, reason=None):
        if self.closed:
            return
        keys = [("remoteid", str(self.remote_id)), ("action", "close")]
        keys += [("code", str(code))] if code else []
        keys += [("reason", reason)] if reason else []
        self._send(keys, b"")
        self.peer_closed(code, reason)

    async def _credit(self):
        """Wait until at least one byte may be sent; return how many may."""
        while not self.closed:
            room = self.window_out - (self.sent - self.acked_by_peer)
            if self.overrun:
                return self._settings["chunk"]
            if room > 0:
                return room
            self._moved.clear()
            try:
                await asyncio.wait_for(self._moved.wait(), self._settings["ack_timeout"])
            except asyncio.TimeoutError:
                self._deviates("channel acknowledgement", "one at half a window, at the latest",
                               f"none for {self.window_out} bytes")
                raise ChannelClosed(None, "no acknowledgement") from None
        raise ChannelClosed(self.close_code, self.close_reason)

    def _put(self, piece):
        self._largest_sent = max(self._largest_sent, len(piece))
        self.sent += len(piece)
        self._send([("remoteid", str(self.remote_id))], piece)

    def _expect_ack_of(self, mark):
        """A stream's end has to be acknowledged at once; see later that it was."""
        def check():
            if not self.closed and self.acked_by_peer < mark:
                self._deviates("acknowledgement of a stream's end", f"ack={mark}", f"ack={self.acked_by_peer}")
        asyncio.get_running_loop().call_later(self._settings["ack_timeout"], check)

    # what comes in

    def on_message(self, message):
        """One `channel` message for this channel."""
        action = message.get("action")
        if action is None:
            self._on_data(message.data)
        elif action == "ack":
            self._on_ack(message.get("ack"))
        elif action == "close":
            self.peer_closed(message.get("code"), message.get("reason"))
        else:
            self._deviates("channel action", "ack or close", repr(action))

    def _on_ack(self, text):
        if text is None or not text.isdigit():
            self._deviates("ack value", "decimal", repr(text))
            return
        value = int(text)
        if not self.acked_by_peer <= value <= self.sent:
            self._deviates("ack value", f"{self.acked_by_peer}..{self.sent}", value)
            return
        most = self.window_out // 2 - 1 + self._largest_sent
        if value - self.acked_by_peer > max(most, 1):
            self._deviates("bytes covered by one acknowledgement", f"at most {most}", value - self.acked_by_peer)
        self.acked_by_peer = value
        self._moved.set()

    def _on_data(self, data):
        if not data:
            self._deviates("channel message", "data, ack or close", "nothing")
        self.received += len(data)
        if self.received - self.acked_by_us > self.window_in:
            self._deviates("channel window", f"at most {self.window_in} unacknowledged",
                           self.received - self.acked_by_us)
        ended = self._take(data)
        if ended and self.on_end:
            self.on_end()
        if ended or self.received - self.acked_by_us >= self.window_in // 2:
            self.acknowledge()

    def acknowledge(self):
        if self._settings["ack"] and self.acked_by_us < self.received and not self.closed:
            self.acked_by_us = self.received
            self._send([("remoteid", str(self.remote_id)), ("action", "ack"), ("ack", str(self.received))], b"")

    def _take(self, data):
        """Queue what the data holds; True if a stream ended in it."""
        if self.raw:
            self._incoming.put_nowait(data)
            return False
        if self._streams_seen >= self.streams_wanted:
            self._deviates("channel data", "nothing after the last stream's end", f"{len(data)} bytes")
            return False
        try:
            items = self._decoder.feed(data)
        except StreamError as error:
            self._deviates("stream coding", "<decimal length>\\n<bytes> ... 0\\n", error)
            self.close(400, "bad stream coding")
            return False
        for item in items:
            self._streams_seen += item is None
            self._incoming.put_nowait(item)
        return None in items

    def peer_closed(self, code=None, reason=None):
        """The channel is over, by a close of either side or with its session."""
        if self.closed:
            return
        self.closed = True
        self.close_code, self.close_reason = code, reason
        self._moved.set()
        self._incoming.put_nowait(ChannelClosed(code, reason))

    async def next_item(self):
        """Next piece of bytes, or None at a stream's end; raises ChannelClosed."""
        item = await self._incoming.get()
        if isinstance(item, ChannelClosed):
            self._incoming.put_nowait(item)
            raise item
        return item

    async def read_stream(self):
        """One whole stream back."""
        whole = bytearray()
        while (piece := await self.next_item()) is not None:
            whole += piece
        return self.plain(bytes(whole))

    def plain(self, payload):
        """Undo compression where the stream has it."""
        return inflate(payload) if self.deflate and payload[:2] == b"\x1f\x8b" else payload
