"""The lab manager: devices, sessions, listeners, the tunnel end, and the operations of the control socket."""

import asyncio
import dataclasses
import ipaddress
import signal

import exchange
import tls
import tunend
from behaviour import Behaviour
from events import EventLog, short
from session import NEW, Session


class OperationError(Exception):
    """A control operation that cannot be done; the text goes to the caller."""


@dataclasses.dataclass
class Config:
    """What `fmg serve` was started with."""

    cert: str
    key: str
    ca: str
    serial: str = "FMG-VM0000000001"
    listen: str = None
    port: int = 541
    listen6: str = None
    port6: int = 542
    tunnel_ip: str = "169.254.0.2"
    tun: str = None
    tun_netns: str = None
    fmg_ip: str = "192.168.48.46"
    mgmtid: str = "247331677"
    keepalive_interval: int = 300
    window: int = 32768
    sock_timeout: int = 900
    overwrite_fmgid: int = 1
    auto_register: bool = False
    log: str = None
    quiet: bool = False


@dataclasses.dataclass
class Device:
    """What the manager knows of one device."""

    tunnel_ip: str
    registered: bool = False


class Manager:
    """Everything one `fmg serve` process holds."""

    def __init__(self, config):
        self.config = config
        self.behaviour = Behaviour()
        echo = None if config.quiet else lambda event: print(short(event), flush=True)
        self.events = EventLog(config.log, echo)
        self.devices = {}
        self.sessions = {}
        self.stopping = asyncio.Event()
        self._numbers = 0
        self._servers = []
        self._tun = None
        self._context = None
        self._context_for = None
        self._tasks = set()

    # life

    async def start(self):
        """Open the tunnel end and the listeners; raises OSError or TunError."""
        self.tls_context()
        if self.config.tun:
            self._tun = tunend.TunEnd(self.config.tun, self.config.fmg_ip, self.config.tun_netns)
            self._tun.start()
        for address, port in ((self.config.listen, self.config.port), (self.config.listen6, self.config.port6)):
            if address:
                server = await asyncio.start_server(self._accepted, address, port)
                self._servers.append(server)
                self.events.add("listening", address=address, port=server.sockets[0].getsockname()[1])

    async def serve(self):
        """Run until a signal or the `quit` operation."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        await self.stopping.wait()
        for server in self._servers:
            server.close()
        for session in list(self.sessions.values()):
            session.end("close", "the manager stops")
        await asyncio.sleep(0.05)
        if self._tun:
            self._tun.close()

    async def _accepted(self, reader, writer):
        await self._run_session(reader, writer, "device")

    async def _run_session(self, reader, writer, initiated_by):
        self._numbers += 1
        session = Session(self, reader, writer, self._numbers, initiated_by)
        self.sessions[session.number] = session
        await session.run()

    def _spawn(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def tls_context(self):
        """The server context for the present certificate and TLS settings."""
        b = self.behaviour
        wanted = (self.config.cert, self.config.key, self.config.ca,
                  b["tls.min"], b["tls.max"], b["tls.ciphers"], b["tls.client_cert"])
        if wanted != self._context_for:
            self._context = tls.server_context(*wanted)
            self._context_for = wanted
        return self._context

    # what sessions ask

    def auth_keys(self):
        c = self.config
        return [("request", "auth"), ("serialno", c.serial), ("keepalive_interval", str(c.keepalive_interval)),
                ("chan_window_sz", str(c.window)), ("sock_timeout", str(c.sock_timeout))]

    def ip_keys(self, session):
        c = self.config
        device = self._device(session.serial)
        device.registered = device.registered or c.auto_register
        pairs = [("overwrite_fmgid", str(c.overwrite_fmgid)), ("request", "ip")]
        pairs += [("ip", device.tunnel_ip)] if device.registered else []
        return pairs + [("mgmtid", c.mgmtid), ("register_status", str(int(device.registered))),
                        ("fmg_ip", c.fmg_ip), ("keepalive_interval", str(c.keepalive_interval)),
                        ("chan_window_sz", str(c.window)), ("sock_timeout", str(c.sock_timeout))]

    def others_of(self, session):
        """Other sessions of the same device that got past the authentication."""
        return [s for s in self.sessions.values()
                if s is not session and s.serial == session.serial and s.stage != NEW]

    def session_up(self, session):
        if self._tun and session.tunnel_ip:
            self._tun.bind(session.tunnel_ip, session)

    def session_over(self, session):
        self.sessions.pop(session.number, None)
        if not self._tun:
            return
        self._tun.unbind(session)
        for other in self.others_of(session):
            self.session_up(other)

    def from_device(self, packet):
        if self._tun:
            self._tun.inject(packet)

    async def take_receipt(self, session, channel, install_id):
        await exchange.take_receipt(session, channel, install_id)

    def register(self, serial, wanted=True):
        """Put a device onto (or off) the list of managed ones and tell its sessions."""
        self._device(serial).registered = wanted
        self.events.add("registered" if wanted else "unregistered", serial=serial)
        for session in self.sessions.values():
            if session.serial == serial and session.stage == "up":
                session.update_tunnel()

    def _device(self, serial):
        if serial not in self.devices:
            first = ipaddress.ip_address(self.config.tunnel_ip)
            self.devices[serial] = Device(str(first + len(self.devices)))
        return self.devices[serial]

    def _pick(self, session=None, serial=None):
        """The session an operation is for: by number, by serial, or simply the newest that is up."""
        if session is not None:
            found = [s for s in self.sessions.values() if s.number == int(session)]
        else:
            found = [s for s in self.sessions.values() if s.stage == "up" and serial in (None, s.serial)]
        if not found:
            raise OperationError("no such session")
        return found[-1]

    # operations of the control socket, one method each; keyword arguments are the request's keys

    async def op_status(self):
        """What runs here."""
        return {"serial": self.config.serial, "sessions": len(self.sessions), "last_event": self.events.last,
                "devices": {k: dataclasses.asdict(d) for k, d in self.devices.items()},
                "behaviour": self.behaviour.given,
                "protocol_errors": len(self.events.since(0, "protocol_error")),
                "tun_dropped": self._tun.dropped if self._tun else 0}

    async def op_sessions(self):
        """Every connection with its counters."""
        return {"sessions": [s.summary() for s in self.sessions.values()]}

    async def op_register(self, serial):
        self.register(serial)

    async def op_unregister(self, serial):
        self.register(serial, False)

    async def op_install(self, set, unset, id, allow_reboot=False, force=False, deflate=False, faults=None,
                         session=None, serial=None):
        """Start an install; what becomes of it comes as events."""
        chosen = self._pick(session, serial)
        install = exchange.Install(chosen, id, set.encode(), unset.encode(), allow_reboot=allow_reboot,
                                   force=force, deflate=deflate, faults=faults)
        chosen.spawn(install.run())
        return {"session": chosen.number}

    async def op_script(self, id, script, force=False, deflate=False, session=None, serial=None):
        """Push a script; what it prints comes as events."""
        chosen = self._pick(session, serial)
        chosen.spawn(exchange.Script(chosen, id, script.encode(), force=force, deflate=deflate).run())
        return {"session": chosen.number}

    async def op_get_config(self, full=False, deflate=False, session=None, serial=None):
        return {"config": await self._bounded(exchange.get_config(self._pick(session, serial), full, deflate))}

    async def op_open(self, keys, request="file_exchange", streams=(), raw=None, fault=None, expect=1, hold=False,
                      announce_window=True, raw_bytes=1, session=None, serial=None):
        """Open a channel with any keys and streams; returns what came back."""
        work = exchange.by_hand(self._pick(session, serial), list(keys.items()), request=request,
                                streams=[s.encode() for s in streams],
                                raw=raw.encode("latin-1") if raw is not None else None,
                                fault=fault, expect=expect, hold=hold, announce_window=announce_window,
                                raw_bytes=raw_bytes)
        return await self._bounded(work)

    @staticmethod
    async def _bounded(work):
        try:
            return await asyncio.wait_for(work, 60)
        except exchange.Refused as refusal:
            raise OperationError(f"refused {refusal.code}: {refusal.reason}") from None
        except exchange.ChannelClosed as over:
            raise OperationError(f"channel closed {over.code}: {over.reason}") from None
        except asyncio.TimeoutError:
            raise OperationError("no answer within 60 s") from None

    async def op_push_ip(self, session=None, serial=None):
        """Send an unasked ip reply with the present settings."""
        self._pick(session, serial).update_tunnel()

    async def op_cert(self, cert, key, new_serial=None):
        """Another certificate for connections from now on."""
        self.config.cert, self.config.key = cert, key
        self.config.serial = new_serial or self.config.serial
        self.tls_context()

    async def op_keepalive(self, timeout=10.0, session=None, serial=None):
        """Send a keep-alive; returns when it is answered: all that was sent before it has been looked at, too."""
        try:
            await asyncio.wait_for(self._pick(session, serial).keepalive(), float(timeout))
        except asyncio.TimeoutError:
            raise OperationError(f"no answer to a keep-alive within {timeout} s") from None
        except exchange.ChannelClosed as over:
            raise OperationError(f"keep-alive: {over.reason}") from None

    async def op_send_raw(self, hex, session=None, serial=None):
        """Bytes inside TLS, as they are."""
        self._pick(session, serial).send_raw(bytes.fromhex(hex))

    async def op_send_ip(self, hex, session=None, serial=None):
        """One IP frame with these bytes as its packet."""
        self._pick(session, serial).send_ip(bytes.fromhex(hex))

    async def op_drop(self, how="close", session=None, serial=None):
        """End connections: one by number, those of a serial, or all."""
        chosen = [s for s in self.sessions.values()
                  if (session is None or s.number == int(session)) and serial in (None, s.serial)]
        for s in chosen:
            s.end(how, "drop")
        return {"dropped": len(chosen)}

    async def op_dial(self, address, port=541):
        """Connect to a device; it is still the TLS client."""
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(address, int(port)), 10)
        except (OSError, asyncio.TimeoutError) as error:
            raise OperationError(f"{address} port {port}: {error or 'timed out'}") from None
        self._spawn(self._run_session(reader, writer, "manager"))

    async def op_behaviour(self, set=None, clear=(), reset=False):
        """Change settings; returns those that are not default."""
        if reset:
            self.behaviour.reset()
        for key in clear:
            self.behaviour.clear(key)
        for key, value in (set or {}).items():
            self.behaviour.set(key, value)
        return {"behaviour": self.behaviour.given}

    async def op_wait(self, event, since=0, match=None, timeout=10.0):
        """The first matching event after number `since`; an error when none comes in time."""
        found = await self.events.wait(event, since, match, float(timeout))
        if found is None:
            raise OperationError(f"no {event} {match or ''} within {timeout} s")
        return {"found": found}

    async def op_list_events(self, since=0, event="*", match=None):
        return {"events": self.events.since(since, event, match), "last": self.events.last}

    async def op_quit(self):
        self.stopping.set()
