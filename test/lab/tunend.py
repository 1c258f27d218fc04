"""The manager's end of the tunnel: a TUN device that carries the manager's address.

Traffic for a device's tunnel address is routed into the TUN and handed to that device's session. The
device lives in the namespace the lab runs in, or in one named with --tun-netns.
"""

import asyncio
import ctypes
import errno
import fcntl
import ipaddress
import os
import struct
import subprocess
import threading

import frame

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
CLONE_NEWNET = 0x40000000
READ_SIZE = 65536
BATCH = 64


class TunError(Exception):
    """The TUN device or its addresses could not be set up."""


def _attach(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


def _attach_in(name, netns):
    """Attach in another namespace: namespaces belong to threads, so a short-lived one goes there."""
    result = []

    def work():
        try:
            ns = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(ns, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), netns)
            os.close(ns)
            result.append(_attach(name))
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


class TunEnd:
    """The TUN device, its address, and one route per session."""

    def __init__(self, name, address, netns=None):
        self.name = name
        self.address = address
        self.dropped = 0
        self._netns = netns
        self._sessions = {}
        try:
            self.fd = _attach_in(name, netns) if netns else _attach(name)
        except OSError as error:
            raise TunError(f"{name}: {error.strerror}") from None
        self._ip("address", "replace", self._host(address), "dev", name)
        self._ip("link", "set", name, "up")

    def start(self):
        asyncio.get_running_loop().add_reader(self.fd, self._readable)

    def close(self):
        asyncio.get_running_loop().remove_reader(self.fd)
        os.close(self.fd)

    def bind(self, address, session):
        """From now on packets for `address` belong to `session`."""
        key = ipaddress.ip_address(address).packed
        if key not in self._sessions:
            self._ip("route", "replace", self._host(address), "dev", self.name, "src", self.address)
        self._sessions[key] = session

    def unbind(self, session):
        """Forget a session; its route stays for the next one of that device."""
        for key in [k for k, s in self._sessions.items() if s is session]:
            self._sessions[key] = None

    def inject(self, packet):
        """A packet of the device goes to the manager's own stack."""
        try:
            os.write(self.fd, packet)
        except OSError:
            self.dropped += 1

    def _readable(self):
        for _ in range(BATCH):
            try:
                packet = os.read(self.fd, READ_SIZE)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EINTR):
                    asyncio.get_running_loop().remove_reader(self.fd)
                return
            self._deliver(packet)

    def _deliver(self, packet):
        session = None
        if frame.ip_problem(packet) is None:
            session = self._sessions.get(frame.ip_ends(packet)[1])
        if session is None:
            self.dropped += 1
        else:
            session.send_ip(packet)

    @staticmethod
    def _host(address):
        return f"{address}/{ipaddress.ip_address(address).max_prefixlen}"

    def _ip(self, *words):
        command = ["ip"] + (["-n", self._netns] if self._netns else []) + list(words)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TunError(f"{' '.join(command)}: {done.stderr.strip()}")
