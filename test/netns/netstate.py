"""Links, addresses, routes, rules and listening sockets of a namespace, without a program started for each look.

A thread joins the namespace and asks the kernel by netlink. What only tells of time or traffic is left out.
"""

import ctypes
import os
import pathlib
import socket
import struct
import threading

CLONE_NEWNET, CLONE_NEWUTS = 0x40000000, 0x04000000
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETRULE = 18, 22, 26, 34
IFLA_IFNAME, IFLA_MTU = 3, 4
IFA_CACHEINFO, RTA_CACHEINFO = 6, 12
LISTEN = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}

_libc = ctypes.CDLL(None, use_errno=True)


def _join(path, kind):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, kind):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)


def _inside(path, kind, look):
    """What look() returns in a thread that has joined a namespace."""
    found = []

    def work():
        try:
            _join(path, kind)
            found.append(look())
        except Exception as error:  # it belongs to the caller's thread
            found.append(error)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _dump(request):
    """Bodies of the answers to a dump of everything of that kind."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        body = bytes(16)
        sock.send(struct.pack("=IHHII", 16 + len(body), request, NLM_F_REQUEST_DUMP, 1, 0) + body)
        bodies = []
        while True:
            data = sock.recv(1 << 20)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    return bodies
                bodies.append(data[16:length])
                data = data[(length + 3) & ~3:]


def _attributes(body, start):
    found = {}
    while start + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, start)
        found[kind] = body[start + 4:start + length].hex()
        start += (length + 3) & ~3
    return found


def _rows(title, request, header, without):
    for body in _dump(request):
        attributes = {k: v for k, v in _attributes(body, header).items() if k != without}
        yield f"{title} {body[:header].hex()} {sorted(attributes.items())}"


def _links():
    for body in _dump(RTM_GETLINK):
        attributes = _attributes(body, 16)
        name = bytes.fromhex(attributes[IFLA_IFNAME]).rstrip(b"\0").decode()
        yield f"link {name} flags {body[8:12].hex()} mtu {attributes[IFLA_MTU]}"


def _sockets():
    for name, state in LISTEN.items():
        for row in pathlib.Path(f"/proc/thread-self/net/{name}").read_text().splitlines()[1:]:
            words = row.split()
            if words[3] == state:
                yield f"{name} {words[1]}"


def _look():
    return sorted([*_links(), *_rows("address", RTM_GETADDR, 8, IFA_CACHEINFO),
                   *_rows("route", RTM_GETROUTE, 12, RTA_CACHEINFO), *_rows("rule", RTM_GETRULE, 12, None), *_sockets()])


def inside(namespace, look):
    """What look() returns in a network namespace; a socket that it makes stays there."""
    return _inside(namespace.path, CLONE_NEWNET, look)


def network(namespace):
    """Sorted lines, to be compared with those of another time."""
    return inside(namespace, _look)


def hostname(pid):
    """The name of its host as a process sees it."""
    return _inside(f"/proc/{pid}/ns/uts", CLONE_NEWUTS, socket.gethostname)
