"""The lab's TLS: Python's ssl over memory buffers, so that a test can interfere at any byte.

The manager is always the TLS server, whoever opened the TCP connection.
"""

import asyncio
import pathlib
import socket
import ssl
import struct
import warnings

VERSIONS = {"1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
HANDSHAKE_TIMEOUT = 60
DH_PARAMETERS = pathlib.Path(__file__).resolve().parent / "ffdhe2048.pem"


class TlsOver(Exception):
    """The connection ended; the text says how."""


def server_context(cert, key, ca, lowest="1.2", highest="1.3", ciphers="", client_cert="require"):
    """A server context with exactly these limits, whatever the system's OpenSSL defaults are."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = VERSIONS[lowest]
        context.maximum_version = VERSIONS[highest]
    if lowest == "1.1" and not ciphers:
        ciphers = "ALL:@SECLEVEL=0"
    if ciphers:
        context.set_ciphers(ciphers)
    context.load_dh_params(DH_PARAMETERS)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED if client_cert == "require" else ssl.CERT_NONE
    return context


def common_name(certificate):
    """CN of a certificate as getpeercert() gives it, or ''."""
    for group in (certificate or {}).get("subject", ()):
        for name, value in group:
            if name == "commonName":
                return value
    return ""


class TlsLink:
    """One TLS connection over an asyncio stream pair."""

    def __init__(self, reader, writer, context):
        self._reader = reader
        self._writer = writer
        self._from_net = ssl.MemoryBIO()
        self._to_net = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._from_net, self._to_net, server_side=True)
        self._established = False
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def handshake(self, on_first_bytes):
        """Run the handshake; raises TlsOver. `on_first_bytes` is called before they are looked at."""
        await self._fill()
        on_first_bytes()
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                await self._fill()
            except ssl.SSLError as error:
                self._flush()
                raise TlsOver(f"handshake failed: {error.reason or error}") from None
        self._flush()
        self._established = True

    async def _fill(self):
        try:
            data = await self._reader.read(65536)
        except OSError as error:
            raise TlsOver(f"connection lost: {error.strerror or error}") from None
        if not data:
            raise TlsOver("closed by the device without a TLS close" if self._established
                          else "closed by the device during the handshake")
        self._from_net.write(data)

    async def read(self):
        """Some decrypted bytes; raises TlsOver at the end."""
        while True:
            try:
                data = self._tls.read(262144)
            except ssl.SSLWantReadError:
                self._flush()
                await self._fill()
                continue
            except ssl.SSLZeroReturnError:
                raise TlsOver("closed by the device") from None
            except ssl.SSLError as error:
                self._flush()
                raise TlsOver(f"TLS error: {error.reason or error}") from None
            if not data:
                raise TlsOver("closed by the device")
            return data

    def write(self, data):
        self._tls.write(data)
        self._flush()

    async def drain(self):
        try:
            await self._writer.drain()
        except OSError as error:
            raise TlsOver(f"connection lost: {error.strerror or error}") from None

    def facts(self):
        """Version, suite and the device's name, for events."""
        name, version, _bits = self._tls.cipher()
        return {"tls_version": self._tls.version() or version, "suite": name,
                "device_cn": common_name(self._tls.getpeercert())}

    def close(self):
        """TLS close, then FIN."""
        if self._established:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass
            self._flush()
        self.fin()

    def fin(self):
        self._writer.close()

    def rst(self):
        reset(self._writer)

    def _flush(self):
        data = self._to_net.read()
        if data and not self._writer.is_closing():
            self._writer.write(data)


def reset(writer):
    """End a connection with a TCP reset."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def within(awaitable, seconds, what):
    """Await with a limit, as TlsOver."""
    try:
        return await asyncio.wait_for(awaitable, seconds)
    except asyncio.TimeoutError:
        raise TlsOver(f"{what} took more than {seconds} s") from None
