"""FGFM frames: an eight-byte header and a body.

The lab's own reading of the frame layout; nothing here is shared with the agent. The reader is strict
because it judges the agent: whatever leaves the bounds raises FrameError naming field, expected and got.
"""

import struct

MAGIC = b"\x36\xe0"
VERSION = 0x11
MESSAGE = 0x00
IP_PACKET = 0x01

HEADER = struct.Struct(">2sBBI")
MIN_LENGTH = HEADER.size + 1
MAX_LENGTH = 65536 + 4096 + HEADER.size


class FrameError(Exception):
    """A header field that is out of bounds."""

    def __init__(self, field, expected, got):
        super().__init__(f"{field}: expected {expected}, got {got}")
        self.field = field
        self.expected = expected
        self.got = got


def build(kind, body, *, magic=MAGIC, version=VERSION, length=None):
    """One frame; the keyword arguments exist to make bad ones."""
    if length is None:
        length = HEADER.size + len(body)
    return HEADER.pack(magic, version, kind, length) + body


class FrameReader:
    """Cuts a byte stream into (type, body) pairs."""

    def __init__(self):
        self._buffer = bytearray()

    def feed(self, data):
        """Take bytes as they come from the connection; return the frames that are complete now."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= HEADER.size:
            kind, length = self._check_header()
            if len(self._buffer) < length:
                break
            frames.append((kind, bytes(self._buffer[HEADER.size:length])))
            del self._buffer[:length]
        return frames

    @property
    def pending(self):
        """Bytes of a frame that has begun and not ended."""
        return len(self._buffer)

    def _check_header(self):
        magic, version, kind, length = HEADER.unpack_from(self._buffer)
        if magic != MAGIC:
            raise FrameError("magic", MAGIC.hex(), magic.hex())
        if version != VERSION:
            raise FrameError("version", f"{VERSION:#04x}", f"{version:#04x}")
        if kind not in (MESSAGE, IP_PACKET):
            raise FrameError("type", "0x00 or 0x01", f"{kind:#04x}")
        if not MIN_LENGTH <= length <= MAX_LENGTH:
            raise FrameError("length", f"{MIN_LENGTH}..{MAX_LENGTH}", length)
        return kind, length


def ip_problem(packet):
    """What is wrong with one IP packet's own length field, or None."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        told = struct.unpack_from(">H", packet, 2)[0]
    elif version == 6 and len(packet) >= 40:
        told = 40 + struct.unpack_from(">H", packet, 4)[0]
    else:
        return f"not an IPv4 or IPv6 packet ({len(packet)} bytes, version {version})"
    return None if told == len(packet) else f"header says {told} bytes, frame carries {len(packet)}"


def ip_ends(packet):
    """(source, destination) of an IP packet as packed addresses."""
    if packet[0] >> 4 == 4:
        return packet[12:16], packet[16:20]
    return packet[8:24], packet[24:40]
