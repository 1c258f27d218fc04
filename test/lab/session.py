"""One connection of a device, from TCP to the end.

The session answers what the device asks and judges everything it says; what the manager asks of the
device (installs, retrievals) is in exchange.py and uses open_channel() here.
"""

import asyncio
import ipaddress
import re

import frame
import message
import mischief
import tls
from channel import Channel, ChannelClosed
from message import Message

NEW, AUTHENTICATED, UP = "new", "authenticated", "up"
REQUEST_TIMEOUT = 60
MOST_UNSENT = 1 << 20
_NUMBER = re.compile(r"\d{1,10}\Z")


class SessionOver(Exception):
    """The manager itself ended the session."""


class Refused(Exception):
    """The device answered a request with something else than 200."""

    def __init__(self, code, reason):
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Session:
    """State of one connection."""

    def __init__(self, manager, reader, writer, number, initiated_by):
        self.manager = manager
        self.number = number
        self.initiated_by = initiated_by
        self.behaviour = manager.behaviour
        self.stage = NEW
        self.privileged = False
        self.muted = False
        self.serial = None
        self.identity = {}
        self.tunnel_ip = None
        self.facts = {}
        self.counters = {"frames_in": 0, "frames_out": 0, "ip_in": 0, "ip_out": 0, "keepalives": 0, "muted": 0}
        self.channels = {}
        self._closed_channels = set()
        self._next_channel = 0
        self._pending = []
        self._over = None
        self._deaf = False
        self._ended = asyncio.Event()
        self._tasks = set()
        self._reader, self._writer = reader, writer
        self.peer = writer.get_extra_info("peername")[:2]
        self._link = None

    # life

    async def run(self):
        """From the accepted connection to its end; never raises."""
        self.note("accept", peer=self.peer[0], port=self.peer[1], by=self.initiated_by)
        try:
            await self._talk()
        except SessionOver:
            pass
        except (tls.TlsOver, OSError) as error:
            self._over = self._over or str(error)
        except frame.FrameError as error:
            self.deviates(f"frame {error.field}", error.expected, error.got)
            self.end("close", "bad frame")
        except message.MessageError as error:
            self.deviates("message form", "a message", error)
            self.end("close", "bad message")
        finally:
            self._finish()

    async def _talk(self):
        self.reach("accept")
        self._link = tls.TlsLink(self._reader, self._writer, self.manager.tls_context())
        await tls.within(self._link.handshake(lambda: self.reach("client-hello")), tls.HANDSHAKE_TIMEOUT,
                         "the TLS handshake")
        self.facts = self._link.facts()
        self.note("tls", **self.facts)
        self.reach("handshake-done")
        frames = frame.FrameReader()
        while True:
            if self._deaf:
                await self._ended.wait()
                raise SessionOver
            for kind, body in frames.feed(await self._link.read()):
                self.counters["frames_in"] += 1
                await self._on_frame(kind, body)

    def _finish(self):
        for task in self._tasks:
            task.cancel()
        for channel in list(self.channels.values()):
            channel.peer_closed(None, "session over")
        for _, _, answer in self._pending:
            if not answer.done():
                answer.set_exception(ChannelClosed(None, "session over"))
                answer.exception()
        self._writer.close()
        self.manager.session_over(self)
        self.note("session_closed", reason=self._over or "closed", stage=self.stage)

    def end(self, how, why):
        """Close, fin or rst; the reading side notices and finishes."""
        self._over = self._over or f"{how} by the manager: {why}"
        self._ended.set()
        if how == "rst":
            tls.reset(self._writer)
        elif self._link is None or how == "fin":
            self._writer.close()
        else:
            self._link.close()
        # a peer that keeps its side open must not keep the session
        asyncio.get_running_loop().call_later(2.0, self._writer.transport.abort)

    def spawn(self, coroutine):
        """Run something beside the reading; it ends with the session."""
        task = asyncio.get_running_loop().create_task(self._guarded(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, coroutine):
        try:
            await coroutine
        except (SessionOver, ChannelClosed):
            pass
        except tls.TlsOver as error:
            self._over = self._over or str(error)

    # telling

    def note(self, event, **fields):
        return self.manager.events.add(event, session=self.number, serial=self.serial, **fields)

    def deviates(self, what, expected, got):
        """The device did something that the protocol does not allow."""
        self.note("protocol_error", what=what, expected=str(expected), got=str(got))

    def _channel_deviates(self, what, expected, got):
        # while the manager itself plays dead, missing acknowledgements are its own doing
        if not self.muted and self._over is None:
            self.deviates(what, expected, got)

    # phases and sending

    def reach(self, phase):
        """Do what the behaviour wants done at this phase; raises SessionOver if that ends the session."""
        for action in self.behaviour.take(phase):
            self.note("action", phase=phase, action=action)
            name, _, argument = action.partition(":")
            if name in ("close", "fin", "rst"):
                self.end(name, f"at {phase}")
                raise SessionOver
            if name == "stall":
                self.muted = True
            elif name == "deaf":
                self.muted = True
                self._deaf = True
                self._writer.transport.pause_reading()
            elif name == "say":
                self.send_raw(mischief.SAYINGS[argument])
            elif name == "hex":
                self.send_raw(bytes.fromhex(argument))

    def send_raw(self, data):
        """Bytes inside TLS, unless the manager plays dead."""
        if self.muted or self.behaviour["silence"]:
            self.counters["muted"] += 1
        elif self._over is None and self._link is not None:
            self.counters["frames_out"] += 1
            self._link.write(data)

    def send(self, msg):
        if msg.verb != "channel":
            self.note("tx", **msg.as_dict())
        self.send_raw(frame.build(frame.MESSAGE, msg.body()))

    def send_ip(self, packet):
        """One packet towards the device; dropped when the connection does not keep up."""
        if self._writer.transport.get_write_buffer_size() < MOST_UNSENT:
            self.counters["ip_out"] += 1
            self.send_raw(frame.build(frame.IP_PACKET, packet))

    async def answer(self, kind, keys, code=200):
        """A reply, bent as the behaviour says. Returns it if the device may take it for a success."""
        shape = self.behaviour.reply(kind)
        if shape.delay:
            await asyncio.sleep(shape.delay)
        if not shape.answer:
            return None
        code, pairs = shape.shape(code, keys)
        reply = Message("reply", str(code), pairs)
        body = shape.text(reply) if shape.text else reply.body()
        good = frame.build(frame.MESSAGE, body)
        self.note("tx", bent=bool(shape.text or shape.raw), **reply.as_dict())
        self.send_raw(shape.raw(good) if shape.raw else good)
        return reply if code == 200 and not shape.raw else None

    # what comes in

    async def _on_frame(self, kind, body):
        if kind == frame.IP_PACKET:
            self._on_ip(body)
            return
        msg, problems = message.parse(body)
        for problem in problems:
            self.deviates("message form", msg.first_line, problem)
        if msg.verb == "channel":
            self._on_channel(msg)
            return
        self.note("rx", **msg.as_dict())
        handler = self._HANDLERS.get(msg.verb)
        if handler is None:
            self.deviates("verb", "|".join(sorted(self._HANDLERS)), repr(msg.first_line))
        else:
            await handler(self, msg)

    async def _on_get(self, msg):
        handler = self._REQUESTS.get(msg.argument)
        if handler is None:
            self.deviates("request", "|".join(sorted(self._REQUESTS)), repr(msg.argument))
            self.send(Message("reply", "404", [("request", msg.argument), ("reason", "unknown request")]))
        else:
            await handler(self, msg)

    async def _on_get_auth(self, msg):
        if self.stage != NEW or self.identity:
            self.deviates("get auth", "once, first", f"in stage {self.stage}")
        self._check_order(msg, message.IDENTITY_KEYS)
        self.identity = dict(msg.keys)
        self.serial = self.identity.get("serialno")
        self.note("get_auth", keys=self.identity)
        self.reach("get-auth")
        code = 200
        expected = self.facts["device_cn"]
        if expected and self.serial != expected:
            self.deviates("serialno", expected, self.serial)
            code = 403
        code = self._second_session_code(code)
        if await self.answer("auth", self.manager.auth_keys(), code):
            self.stage = AUTHENTICATED
        self.reach("auth-reply")

    def _second_session_code(self, code):
        rule = self.behaviour["second_session"]
        if rule == "allow" or not self.manager.others_of(self):
            return code
        if rule in ("close", "rst"):
            self.end(rule, "second session of this device")
            raise SessionOver
        return int(rule)

    async def _on_get_ip(self, msg):
        if self.stage == NEW:
            self.deviates("get ip", "after a good auth reply", "before it")
        self._check_order(msg, message.GET_IP_KEYS)
        self._check_identity(msg)
        self.note("get_ip", keys=dict(msg.keys), nat=msg.get("fg_ip") != self.peer[0])
        self.reach("get-ip")
        reply = await self.answer("ip", self.manager.ip_keys(self))
        if reply:
            self.stage = UP
            self._take_up(reply, "ready")
            self.spawn(self._own_keepalives())
        self.reach("ip-reply")

    def _take_up(self, reply, event):
        """Hold the device to what the ip reply told it."""
        self.privileged = reply.get("register_status") == "1"
        self.tunnel_ip = (reply.get("ip") or None) if self.privileged else None
        self.manager.session_up(self)
        self.note(event, registered=self.privileged, tunnel_ip=self.tunnel_ip)

    def update_tunnel(self):
        """An unasked `reply 200 request=ip`, as after a registration."""
        self.spawn(self._push_ip())

    async def _push_ip(self):
        reply = await self.answer("ip", self.manager.ip_keys(self))
        if reply:
            self._take_up(reply, "updated")

    def _check_order(self, msg, wanted):
        problem = message.order_problem(msg, wanted)
        if problem:
            self.deviates(f"keys of {msg.first_line}", " ".join(wanted), problem)

    def _check_identity(self, msg):
        for name in message.IDENTITY_KEYS:
            if self.identity and msg.get(name) != self.identity.get(name):
                self.deviates(f"{name} of get ip", f"as in get auth: {self.identity.get(name)!r}",
                              repr(msg.get(name)))
        if msg.get("probe_mode") not in ("yes", "no"):
            self.deviates("probe_mode", "yes or no", repr(msg.get("probe_mode")))

    async def _on_dev_register(self, msg):
        names = ["serialno", "fmg_serialno", "regist_passwd"]
        self._check_order(msg, names)
        if self.stage == NEW:
            self.deviates("get dev_register", "after a good auth reply", "before it")
        wanted = self.behaviour["register_password"]
        good = wanted in ("", msg.get("regist_passwd")) and msg.get("fmg_serialno") == self.manager.config.serial
        keys = [("request", "dev_register")] + ([] if good else [("reason", "wrong password or serial")])
        sent = await self.answer("dev_register", keys, 200 if good else 403)
        self.note("dev_register", good=good)
        if sent:
            self.manager.register(self.serial)

    async def _on_keepalive(self, msg):
        if self.stage != UP:
            self.deviates("keepalive", "after a good ip reply", f"in stage {self.stage}")
        for problem in message.keepalive_problems(msg):
            self.deviates("keepalive", "the documented keys", problem)
        self.counters["keepalives"] += 1
        number = self.counters["keepalives"]
        self.note("keepalive", n=number, checksum=msg.get("checksum"), keys=dict(msg.keys))
        self.reach(f"keepalive-{number}")
        self.spawn(self.answer("keepalive", [("request", "keepalive")]))

    async def _own_keepalives(self):
        while True:
            every = self.behaviour["keepalive_every"]
            await asyncio.sleep(every or 0.2)
            if every and self.behaviour["keepalive_every"]:
                self.keepalive()

    def keepalive(self):
        """Send one of our own; the future gives the reply."""
        answer = self.request("keepalive")
        self.send(Message("keepalive", "", {"os_ver": "0", "avdb": "0", "ipsdb": "0", **self.behaviour.keepalive_keys}))
        return answer

    # replies to what the manager asked

    def request(self, name, local_id=None):
        """Remember that `name` was asked; the future gives the reply."""
        answer = asyncio.get_running_loop().create_future()
        self._pending.append((name, local_id, answer))
        return answer

    async def _on_reply(self, msg):
        for problem in message.reply_problems(msg):
            self.deviates("reply", msg.first_line, problem)
        entry = self._asked(msg.get("request"), msg.get("remoteid"))
        if entry is None:
            self.deviates("reply", "an answer to something asked", f"{msg.first_line} request={msg.get('request')}")
            return
        self._pending.remove(entry)
        if entry[0] == "keepalive":
            self.note("keepalive_reply", code=int(msg.argument) if msg.argument.isdigit() else 0)
        channel = self.channels.get(entry[1])
        if channel and msg.argument == "200":
            self._agree(channel, msg)  # at once: the channel's first bytes may be right behind the reply
        if not entry[2].done():
            entry[2].set_result(msg)

    def _asked(self, name, remote_id):
        candidates = [e for e in self._pending if e[0] == name]
        exact = [e for e in candidates if remote_id is not None and e[1] == remote_id]
        return next(iter(exact or candidates), None)

    # channels

    async def open_channel(self, keys, request="file_exchange", announce_window=True):
        """Ask the device for a channel; returns it, or raises Refused or ChannelClosed."""
        self._next_channel += 1
        number = str(self._next_channel)
        channel = self._channel(number)
        channel.deflate = dict(keys).get("deflate") == "gzip"
        channel.raw = request == "connect_tcp"
        answer = self.request(request, number)
        own = [("localid", number)] + ([("chan_window_sz", str(channel.window_in))] if announce_window else [])
        self.send(Message("get", request, list(keys) + own))
        try:
            reply = await asyncio.wait_for(answer, REQUEST_TIMEOUT)
        except asyncio.TimeoutError:
            raise Refused(0, f"no answer within {REQUEST_TIMEOUT} s") from None
        if reply.argument != "200":
            self._forget(channel)
            raise Refused(int(reply.argument) if reply.argument.isdigit() else 0, reply.get("reason"))
        self.reach("channel-open")
        return channel

    def _channel(self, number):
        channel = Channel(number, self.manager.config.window, self._send_channel, self._channel_deviates,
                          self.behaviour)
        self.channels[number] = channel
        return channel

    def _agree(self, channel, reply):
        if reply.get("action") != "ack" or reply.get("remoteid") != channel.local_id:
            self.deviates("channel reply", f"action=ack remoteid={channel.local_id}",
                          f"action={reply.get('action')} remoteid={reply.get('remoteid')}")
        remote = reply.get("localid") or ""
        if not _NUMBER.match(remote):
            self.deviates("channel reply", "localid=NUMBER", f"localid={remote}")
        channel.remote_id = remote
        window = reply.get("chan_window_sz")
        if window is not None:
            channel.window_out = self._window(window)

    def _window(self, text):
        if not text.isdigit() or int(text) == 0:
            self.deviates("chan_window_sz", "decimal, above 0", repr(text))
            return 4096
        return int(text)

    def _send_channel(self, keys, data):
        self.send(Message("channel", "", keys, data))

    def _on_channel(self, msg):
        number = msg.get("remoteid")
        channel = self.channels.get(number)
        if channel is None:
            # our close and the device's last words may cross
            if number not in self._closed_channels:
                self.deviates("channel number", f"one of {sorted(self.channels)}", repr(number))
            return
        channel.on_message(msg)
        if channel.closed:
            self.note("channel_closed", channel=number, code=channel.close_code, reason=channel.close_reason)
            self._forget(channel)

    def _forget(self, channel):
        self.channels.pop(channel.local_id, None)
        self._closed_channels.add(channel.local_id)

    def close_channel(self, channel, code=None, reason=None):
        channel.close(code, reason)
        self._forget(channel)

    async def _on_file_exchange(self, msg):
        """The device opens a channel: it has a receipt."""
        command = msg.get("file_exch_cmd")
        if self.stage != UP or not self.privileged:
            self.deviates("get file_exchange", "after registration", f"in stage {self.stage}")
        if command != "put_install_result" or not msg.get("install_id"):
            self.deviates("file_exch_cmd", "put_install_result with install_id", str(dict(msg.keys)))
            self.send(Message("reply", "404", [("request", "file_exchange"), ("reason", "unknown command")]))
            return
        self._next_channel += 1
        channel = self._channel(str(self._next_channel))
        remote = msg.get("localid") or ""
        if not _NUMBER.match(remote):
            self.deviates("get file_exchange", "localid=NUMBER", repr(remote))
        channel.remote_id = remote
        channel.deflate = msg.get("deflate") == "gzip"
        channel.window_out = self._window(msg.get("chan_window_sz", "32768"))
        keys = [("request", "file_exchange"), ("action", "ack"), ("remoteid", remote),
                ("localid", channel.local_id), ("chan_window_sz", str(channel.window_in))]
        if await self.answer("file_exchange", keys):
            channel.on_end = lambda: self.reach("receipt")
            self.spawn(self.manager.take_receipt(self, channel, msg.get("install_id")))
        else:
            self._forget(channel)

    # IP

    def _on_ip(self, packet):
        if self.stage != UP or not self.privileged:
            self.deviates("IP frame", "only in a registered session", f"stage {self.stage}")
        problem = frame.ip_problem(packet)
        if problem:
            self.deviates("IP packet", "its own length to equal the frame's", problem)
            return
        source, destination = (str(ipaddress.ip_address(a)) for a in frame.ip_ends(packet))
        self.counters["ip_in"] += 1
        if self.behaviour["trace_ip"]:
            self.note("ip_packet", source=source, destination=destination, length=len(packet), hex=packet.hex())
        if self.behaviour["check_source"] and packet[0] >> 4 == 4 and source != self.tunnel_ip:
            self.deviates("source of an IP packet", self.tunnel_ip, source)
            return
        self.manager.from_device(packet)

    _HANDLERS = {"get": _on_get, "keepalive": _on_keepalive, "reply": _on_reply}
    _REQUESTS = {"auth": _on_get_auth, "ip": _on_get_ip, "dev_register": _on_dev_register,
                 "file_exchange": _on_file_exchange}

    def summary(self):
        """For `sessions`."""
        return {"session": self.number, "serial": self.serial, "peer": f"{self.peer[0]} {self.peer[1]}",
                "by": self.initiated_by, "stage": self.stage, "registered": self.privileged,
                "tunnel_ip": self.tunnel_ip, "channels": len(self.channels), **self.facts, **self.counters}
