"""A minimal device for testing the lab itself: blocking sockets, the ssl module, no tunnel.

It behaves well unless a test asks for one of the FAULTS, so that every judgement of the lab can be shown
to be made.
"""

import collections
import json
import socket
import ssl
import threading

import frame
import message
from channel import DEFAULT_WINDOW, StreamDecoder, encode_stream
from message import Message

SERIAL = "FGVM010000000001"
CHECKSUM = "7a 87 00 11 22 33 44 55 66 77 88 99 aa bb cc dd"
FAULTS = {"key-order", "extra-key", "checksum", "no-acks", "late-acks", "ack-ahead", "overrun", "bad-stream",
          "lying-ip", "foreign-ip", "no-blank", "no-reason", "early-keepalive", "stray-reply", "serial"}


class Closed(Exception):
    """The manager ended the connection."""


class FakeAgent:
    """One connection to a manager. run() serves until it ends; `results` decides installs."""

    def __init__(self, address, port, pki, *, faults=(), config="config system global\nend\n", window=DEFAULT_WINDOW):
        assert set(faults) <= FAULTS, faults
        self.faults = set(faults)
        self.config = config
        self.window = window
        self.verdict = "result=committed"
        self.replies = []
        self.scripts = []
        self.channels = {}
        self.packets = []
        self.auth = self.ip = None
        self._frames = frame.FrameReader()
        self._queue = collections.deque()
        self._numbers = 0
        self._lock = threading.Lock()
        self._thread = None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(f"{pki}/ca.pem")
        context.load_cert_chain(f"{pki}/device.pem", f"{pki}/device.key")
        self._tls = context.wrap_socket(socket.create_connection((address, port), 10))

    # frames and messages

    def send(self, verb, argument="", data=b"", **keys):
        body = Message(verb, argument, keys, data).body()
        if "no-blank" in self.faults:
            body = body.replace(b"\r\n\r\n\0", b"\r\n\0")
        with self._lock:
            self._tls.sendall(frame.build(frame.MESSAGE, body))

    def send_ip(self, packet):
        with self._lock:
            self._tls.sendall(frame.build(frame.IP_PACKET, packet))

    def receive(self):
        """The next message; packets are set aside."""
        while True:
            while not self._queue:
                try:
                    data = self._tls.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    raise Closed
                self._queue.extend(self._frames.feed(data))
            kind, body = self._queue.popleft()
            if kind == frame.MESSAGE:
                return message.parse(body)[0]
            self.packets.append(body)

    def close(self):
        """End the connection. The descriptor is given up only when nobody reads it any more: it is reused."""
        try:
            socket.socket.shutdown(self._tls, socket.SHUT_RDWR)
        except OSError:
            pass
        if self._thread:
            self._thread.join()
        self._tls.close()

    # the order of a session

    def identity(self):
        keys = {name: "" for name in message.IDENTITY_KEYS}
        keys.update(serialno="FGVM010000000009" if "serial" in self.faults else SERIAL, platform="FortiGate-VM64",
                    hostname=SERIAL, fos_ver="700", minor="2", patch="4", mgmtid="0", fg_ip="127.0.0.1")
        if "key-order" in self.faults:
            keys["serialno"] = keys.pop("serialno")
        if "extra-key" in self.faults:
            keys["colour"] = "blue"
        return keys

    def start(self):
        """Up to the ip reply."""
        if "early-keepalive" in self.faults:
            self.keepalive()
        self.send("get", "auth", **self.identity())
        self.auth = self.receive()
        if self.auth.argument != "200":
            return self
        self.send("get", "ip", **self.identity(), first_fmgid="", probe_mode="yes", vdom="root", intf="wan1")
        self.ip = self.receive()
        return self

    def keepalive(self):
        checksum = CHECKSUM.upper() if "checksum" in self.faults else CHECKSUM
        self.send("keepalive", checksum=checksum, os_ver="700", platform="FortiGate-VM64", avdb="0", ipsdb="0",
                  uptime="17")

    def background(self):
        """Serve in a thread of its own."""
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        return self._thread

    def run(self):
        try:
            while True:
                self._serve(self.receive())
        except (Closed, OSError):
            pass

    def _serve(self, msg):
        if msg.verb == "reply":
            self.replies.append(msg)
            if msg.get("request") == "file_exchange":
                self._receipt_channel_open(msg)
        elif msg.verb == "keepalive":
            self.send("reply", "200", request="keepalive")
        elif msg.verb == "channel":
            self._on_channel(msg)
        elif msg.first_line in ("get file_exchange", "get connect_tcp"):
            self._open(msg)

    # channels

    def _open(self, msg):
        command = msg.get("file_exch_cmd")
        if command not in ("put_config", "get_config"):
            reason = {} if "no-reason" in self.faults else {"reason": "unknown command"}
            self.send("reply", "404", request=msg.argument, remoteid=msg.get("localid"), **reason)
            return
        self._numbers += 1
        channel = {"id": str(self._numbers), "remote": msg.get("localid"), "decoder": StreamDecoder(),
                   "received": 0, "acked": 0, "streams": [b""], "out": b"", "sent": 0, "confirmed": 0,
                   "window": int(msg.get("chan_window_sz", DEFAULT_WINDOW)), "command": command}
        self.channels[channel["id"]] = channel
        self.send("reply", "200", request=msg.argument, action="ack", remoteid=channel["remote"],
                  localid=channel["id"], chan_window_sz=str(self.window))
        if command == "get_config":
            self._queue_stream(channel, self.config.encode())

    def _on_channel(self, msg):
        channel = self.channels.get(msg.get("remoteid"))
        action = msg.get("action")
        if channel is None:
            return
        if action == "ack":
            channel["confirmed"] = int(msg.get("ack"))
            self._push(channel)
        elif action is None:
            self._on_data(channel, msg.data)

    def _on_data(self, channel, data):
        channel["received"] += len(data)
        ended = False
        for item in channel["decoder"].feed(data):
            if item is None:
                ended = True
                channel["streams"].append(b"")
            else:
                channel["streams"][-1] += item
        self._acknowledge(channel, ended)
        if ended and channel["command"] == "put_config" and len(channel["streams"]) == 3:
            self._install(channel)

    def _acknowledge(self, channel, ended):
        due = self.window if "late-acks" in self.faults else self.window // 2
        waiting = channel["received"] - channel["acked"]
        if "no-acks" in self.faults or not (ended or waiting >= due):
            return
        channel["acked"] = channel["received"]
        value = channel["received"] + (1000 if "ack-ahead" in self.faults else 0)
        self.send("channel", remoteid=channel["remote"], action="ack", ack=str(value))

    def _install(self, channel):
        self.scripts = channel["streams"][:2]
        lines = [f"0: {line.strip()}" for line in self.scripts[0].decode().splitlines() if line.strip()]
        self._queue_stream(channel, "".join(f"{line}\n" for line in lines + [self.verdict]).encode())

    def _queue_stream(self, channel, payload):
        channel["out"] += b"x9\n" if "bad-stream" in self.faults else encode_stream(payload, 1000)
        self._push(channel)

    def _push(self, channel):
        """Send what the window allows."""
        limit = 1 << 30 if "overrun" in self.faults else channel["window"]
        while channel["sent"] < len(channel["out"]) and channel["sent"] - channel["confirmed"] < limit:
            room = min(4096, limit - (channel["sent"] - channel["confirmed"]))
            piece = channel["out"][channel["sent"]:channel["sent"] + room]
            channel["sent"] += len(piece)
            self.send("channel", remoteid=channel["remote"], data=piece)

    # receipts

    def deliver(self, install_id, receipt):
        """Open a channel for a receipt; run() goes on with it."""
        self._numbers += 1
        payload = receipt if isinstance(receipt, bytes) else json.dumps(receipt).encode()
        self.channels[str(self._numbers)] = {
            "id": str(self._numbers), "remote": None, "decoder": StreamDecoder(), "received": 0, "acked": 0,
            "streams": [b""], "out": encode_stream(payload), "sent": 0, "confirmed": 0,
            "window": DEFAULT_WINDOW, "command": "put_install_result"}
        self.send("get", "file_exchange", file_exch_cmd="put_install_result", install_id=install_id,
                  localid=str(self._numbers), chan_window_sz=str(self.window))

    def _receipt_channel_open(self, msg):
        channel = self.channels[msg.get("remoteid")]
        channel["remote"] = msg.get("localid")
        channel["window"] = int(msg.get("chan_window_sz", DEFAULT_WINDOW))
        self._push(channel)
