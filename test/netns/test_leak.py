"""Nothing leaks: no packet gets from the tunnel to another interface or service, and none from there into it.

A third host, the victim, is on a second interface of the device, and the administrator has switched on everything
that could forward: in the device's own namespace and by hand in the isolated one. Captures run on every interface of
the device, of the victim and of the isolated namespace. Each hostile packet carries a mark; where one shows that it
should not, the test fails. Controls show that the captures do see what passes.
"""

import ipaddress
import pathlib
import secrets

import pytest

import craft
import expect
from craft import echo4, ip4, ip6, udp4, udp6
from harness import DEVICE_IP, DEVICE_IP6, MANAGER_IP, MANAGER_IP6, TUNNEL_IP
from netns import PYTHON, Namespace, Process, poll, run, unique

HERE = pathlib.Path(__file__).resolve().parent
VICTIM_IP, LAN_IP = "192.168.50.2", "192.168.50.1"
VICTIM_IP6, LAN_IP6 = "fd50::2", "fd50::1"
TUNNEL_IP6 = "fd16:9::2"
STRANGER, STRANGER6 = "10.9.9.9", "fd09::9"

# raw IP packets of stdin (hex lines) onto a device, past every check of the local stack
SEND_ON_DEVICE = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
for line in sys.stdin:
    packet = bytes.fromhex(line)
    sock.sendto(packet, (sys.argv[1], 0x0800 if packet[0] >> 4 == 4 else 0x86dd))
"""
# datagrams through the local stack: ADDRESS TEXT lines; what it refuses has not left either
SEND_DATAGRAMS = """
import socket, sys
for line in sys.stdin:
    address, text = line.split()
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            sock.sendto(text.encode(), (address, 7777))
        except OSError:
            pass
"""
CONNECT_ABSTRACT = """
import socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sys.exit(1 if sock.connect_ex(chr(0) + sys.argv[1]) else 0)
"""


class Capture:
    """A sniffer in one namespace."""

    def __init__(self, lab, namespace, mark, addresses=()):
        words = [*namespace.enter(), PYTHON, HERE / "sniff.py", mark, *addresses]
        self.process = Process(words, lab.folder / f"capture-{secrets.token_hex(4)}.log")
        lab.stack.callback(self.process.destroy)
        poll(lambda: "listening" in self.process.text(), 10, "the capture to begin")

    def packets(self):
        """(interface, direction, bytes) so far; a line whose end is still being written is not there yet."""
        rows = [line.split() for line in self.process.text().rpartition("\n")[0].splitlines()[1:]]
        return [(device, way, bytes.fromhex(text)) for device, way, text in rows]

    def marked(self, text, but=()):
        return [(device, way) for device, way, packet in self.packets() if text in packet and device not in but]

    def wait(self, text):
        """A control: this has to come by."""
        poll(lambda: self.marked(text), 10, f"{text!r} to be captured")


class World:
    """The lab with a victim, everything forwarding, and captures everywhere."""

    def __init__(self, lab, tunnel_ip):
        self.lab = lab
        self.tunnel_ip = tunnel_ip
        self.mark = f"LEAK{secrets.token_hex(4)}"
        self.count = 0
        self.victim_ns = Namespace(unique("fgv"))
        lab.stack.callback(self.victim_ns.delete)
        self.victim_ns.create()
        self._join()
        version = ipaddress.ip_address(tunnel_ip).version
        options = [] if version == 4 else ["--tunnel-ip", tunnel_ip, "--fmg-ip", MANAGER_IP6]
        self.manager, self.agent = lab.connected(manager=lab.manager(options=options))
        poll(lambda: lab.manager_ns.pings(tunnel_ip), 10, "a ping through the tunnel")
        for namespace in (lab.device_ns, lab.isolated_ns):
            self._forward_everything(namespace)
        self.device = Capture(lab, lab.device_ns, self.mark, [tunnel_ip])
        self.victim = Capture(lab, self.victim_ns, self.mark, [tunnel_ip])
        self.isolated = Capture(lab, lab.isolated_ns, self.mark)
        self.beyond = Capture(lab, lab.manager_ns, self.mark)
        self._controls()

    def _join(self):
        run("ip", "link", "add", "lan0", "netns", self.lab.device_ns.name, "type", "veth",
            "peer", "name", "eth0", "netns", self.victim_ns.name)
        for namespace, device, addresses in ((self.lab.device_ns, "lan0", (f"{LAN_IP}/24", f"{LAN_IP6}/64")),
                                             (self.victim_ns, "eth0", (f"{VICTIM_IP}/24", f"{VICTIM_IP6}/64"))):
            for address in addresses:
                namespace.ip("address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
            namespace.ip("link", "set", device, "up")
        self.victim_ns.ip("route", "add", "default", "via", LAN_IP)
        self.victim_ns.ip("-6", "route", "add", "default", "via", LAN_IP6)

    @staticmethod
    def _forward_everything(namespace):
        """What an administrator may switch on by hand, on every interface there is."""
        namespace.run("sh", "-c", """
            echo 1 > /proc/sys/net/ipv4/ip_forward
            for dir in /proc/sys/net/ipv4/conf/*; do
                echo 0 > $dir/rp_filter; echo 1 > $dir/accept_source_route; echo 1 > $dir/forwarding
            done
            for dir in /proc/sys/net/ipv6/conf/*; do echo 1 > $dir/forwarding; echo 1 > $dir/accept_source_route; done""")

    def text(self, name="ok"):
        """A mark of its own for the next packet."""
        self.count += 1
        return f"{self.mark}-{self.count}-{name}.".encode()

    def _controls(self):
        """The captures do see: on the wire of the victim, and inside the namespace."""
        seen = self.text("control")
        self.lab.device_ns.run(PYTHON, "-c", SEND_DATAGRAMS, input=f"{VICTIM_IP} {seen.decode()}\n")
        self.device.wait(seen)
        self.victim.wait(seen)
        self.settle()

    def settle(self):
        """Everything sent before has been through, both ways: what is sent now goes through the same queues."""
        ours, theirs = self.text("in"), self.text("out")
        source = MANAGER_IP if "." in self.tunnel_ip else MANAGER_IP6
        build = udp4 if "." in self.tunnel_ip else udp6
        self.manager.call("send_ip", hex=build(source, self.tunnel_ip, ours).hex())
        self.isolated.wait(ours)
        self.lab.isolated_ns.run(PYTHON, "-c", SEND_DATAGRAMS, input=f"{source} {theirs.decode()}\n")
        self.beyond.wait(theirs)

    def from_manager(self, packet):
        self.manager.call("send_ip", hex=packet.hex())

    def from_inside(self, packets):
        """A local process with every right in the namespace puts packets onto the TUN."""
        self.lab.isolated_ns.run(PYTHON, "-c", SEND_ON_DEVICE, "fgfm0", input="".join(p.hex() + "\n" for p in packets))

    def state(self):
        """What a hostile packet could have changed in the kernel's mind."""
        return [self.lab.isolated_ns.ip(*words).stdout for words in (
            ("route", "show", "table", "all"), ("-6", "route", "show", "table", "all"), ("address",),
            ("neighbour",))]

    def assert_tight(self):
        """No mark outside the tunnel, and nobody has heard of the tunnel address there."""
        controls = (b"-control.",)
        for name, capture in (("device", self.device), ("victim", self.victim)):
            strays = [(device, way, packet.hex()) for device, way, packet in capture.packets()
                      if not any(c in packet for c in controls)]
            assert strays == [], f"captured on the {name}"

    def drops(self, way):
        """Packets dropped so far by reason; `way` is "in" from the manager, "out" from the device."""
        counted = expect.counters(self.agent.ask_json("diagnose", "fgfm", "session"))
        return {path.rpartition(".")[2]: n for path, n in counted.items() if f".{way}." in path}


@pytest.fixture
def world(lab):
    return World(lab, TUNNEL_IP)


@pytest.fixture
def world6(lab):
    return World(lab, TUNNEL_IP6)


# What a hostile manager sends: (name, packet of a mark, reason it is dropped for; None: it is for the tunnel address,
# and the local stack of the namespace may have it, but nobody else).
FROM_MANAGER = [
    ("wire", lambda m: udp4(MANAGER_IP, DEVICE_IP, m), "destination"),
    ("lan", lambda m: udp4(MANAGER_IP, LAN_IP, m), "destination"),
    ("victim", lambda m: udp4(MANAGER_IP, VICTIM_IP, m), "destination"),
    ("victim-echo", lambda m: echo4(TUNNEL_IP, VICTIM_IP, m), "destination"),
    ("loopback", lambda m: udp4(MANAGER_IP, "127.0.0.1", m), "destination"),
    ("loopback-high", lambda m: udp4(MANAGER_IP, "127.255.255.254", m), "destination"),
    ("broadcast", lambda m: udp4(MANAGER_IP, "255.255.255.255", m), "destination"),
    ("lan-broadcast", lambda m: udp4(MANAGER_IP, "192.168.50.255", m), "destination"),
    ("multicast", lambda m: udp4(MANAGER_IP, "224.0.0.1", m), "destination"),
    ("multicast-far", lambda m: udp4(MANAGER_IP, "239.1.2.3", m), "destination"),
    ("nowhere", lambda m: udp4(MANAGER_IP, "0.0.0.0", m), "destination"),
    ("class-e", lambda m: udp4(MANAGER_IP, "240.0.0.1", m), "destination"),
    ("itself", lambda m: udp4(MANAGER_IP, MANAGER_IP, m), "destination"),
    ("neighbour", lambda m: udp4(MANAGER_IP, "169.254.0.3", m), "destination"),
    ("fragment-head", lambda m: udp4(MANAGER_IP, VICTIM_IP, m, more=True), "destination"),
    ("fragment-tail", lambda m: ip4(MANAGER_IP, VICTIM_IP, m + b"x" * 24, craft.UDP, offset=1024), "destination"),
    ("loose-route", lambda m: udp4(MANAGER_IP, TUNNEL_IP, m, options=craft.source_route(False, VICTIM_IP)), None),
    ("strict-route", lambda m: udp4(MANAGER_IP, TUNNEL_IP, m, options=craft.source_route(True, VICTIM_IP)), None),
    ("two-hops", lambda m: udp4(MANAGER_IP, TUNNEL_IP, m, options=craft.source_route(False, LAN_IP, VICTIM_IP)), None),
    ("martian-loopback", lambda m: echo4("127.0.0.1", TUNNEL_IP, m), None),
    ("martian-self", lambda m: echo4(TUNNEL_IP, TUNNEL_IP, m), None),
    ("martian-multicast", lambda m: echo4("224.0.0.1", TUNNEL_IP, m), None),
    ("martian-broadcast", lambda m: echo4("255.255.255.255", TUNNEL_IP, m), None),
    ("martian-zero", lambda m: echo4("0.0.0.0", TUNNEL_IP, m), None),
    ("reflected", lambda m: echo4(VICTIM_IP, TUNNEL_IP, m), None),
    ("reflected-wire", lambda m: echo4(DEVICE_IP, TUNNEL_IP, m), None),
    ("overlap", lambda m: ip4(MANAGER_IP, TUNNEL_IP, m + b"x" * 40, craft.UDP, more=True), None),
    ("fragment-in", lambda m: ip4(MANAGER_IP, TUNNEL_IP, m + b"x" * 40, craft.UDP, offset=8), None),
    ("ip-in-ip", lambda m: ip4(MANAGER_IP, TUNNEL_IP, udp4(MANAGER_IP, VICTIM_IP, m), craft.IPIP), None),
    ("six-in-four", lambda m: ip4(MANAGER_IP, TUNNEL_IP, udp6(MANAGER_IP6, VICTIM_IP6, m), craft.IPV6), None),
    ("gre", lambda m: ip4(MANAGER_IP, TUNNEL_IP, b"\0\0\x08\0" + udp4(MANAGER_IP, VICTIM_IP, m), craft.GRE), None),
    ("redirect", lambda m: ip4(MANAGER_IP, TUNNEL_IP, craft.redirect4(VICTIM_IP, TUNNEL_IP, MANAGER_IP, m), craft.ICMP),
     None),
    ("redirect-stranger", lambda m: ip4(STRANGER, TUNNEL_IP, craft.redirect4(STRANGER, TUNNEL_IP, VICTIM_IP, m),
                                        craft.ICMP), None),
    ("last-hop", lambda m: udp4(MANAGER_IP, TUNNEL_IP, m, ttl=1), None),
    ("other-family", lambda m: udp6(MANAGER_IP6, VICTIM_IP6, m), "no-address"),
    ("other-family-all-nodes", lambda m: udp6("fe80::1", "ff02::1", m), "no-address"),
    ("advertisement", lambda m: ip6("fe80::1", "ff02::1", craft.router_advertisement("fe80::1", "ff02::1", "fd50::")
                                    + m, craft.ICMPV6, hops=255), "no-address"),
]

FROM_MANAGER6 = [
    ("wire", lambda m: udp6(MANAGER_IP6, DEVICE_IP6, m), "destination"),
    ("victim", lambda m: udp6(MANAGER_IP6, VICTIM_IP6, m), "destination"),
    ("loopback", lambda m: udp6(MANAGER_IP6, "::1", m), "destination"),
    ("mapped", lambda m: udp6(MANAGER_IP6, f"::ffff:{VICTIM_IP}", m), "destination"),
    ("all-nodes", lambda m: udp6("fe80::1", "ff02::1", m), "destination"),
    ("all-routers", lambda m: udp6("fe80::1", "ff02::2", m), "destination"),
    ("site-multicast", lambda m: udp6(MANAGER_IP6, "ff05::1:3", m), "destination"),
    ("link-local", lambda m: udp6("fe80::1", "fe80::2", m), "destination"),
    ("six-to-four", lambda m: udp6(MANAGER_IP6, "2002:c0a8:3202::1", m), "destination"),
    ("nat64", lambda m: udp6(MANAGER_IP6, f"64:ff9b::{VICTIM_IP}", m), "destination"),
    ("routing-0", lambda m: ip6(MANAGER_IP6, TUNNEL_IP6, craft.routing_header(0, craft.UDP, VICTIM_IP6)
                                + craft.udp(MANAGER_IP6, VICTIM_IP6, m), craft.ROUTING), None),
    ("routing-2", lambda m: ip6(MANAGER_IP6, TUNNEL_IP6, craft.routing_header(2, craft.UDP, VICTIM_IP6)
                                + craft.udp(MANAGER_IP6, VICTIM_IP6, m), craft.ROUTING), None),
    ("routing-4", lambda m: ip6(MANAGER_IP6, TUNNEL_IP6, craft.routing_header(4, craft.UDP, VICTIM_IP6)
                                + craft.udp(MANAGER_IP6, VICTIM_IP6, m), craft.ROUTING), None),
    ("routing-long", lambda m: ip6(MANAGER_IP6, TUNNEL_IP6, craft.routing_header(0, craft.UDP, LAN_IP6, VICTIM_IP6)
                                   + craft.udp(MANAGER_IP6, VICTIM_IP6, m), craft.ROUTING), None),
    ("hop-by-hop", lambda m: ip6(MANAGER_IP6, TUNNEL_IP6, craft.options_header(craft.UDP)
                                 + craft.udp(MANAGER_IP6, TUNNEL_IP6, m), craft.HOP_BY_HOP), None),
    ("router-alert", lambda m: ip6(MANAGER_IP6, VICTIM_IP6, craft.options_header(craft.UDP, b"\5\2\0\0\1\0")
                                   + craft.udp(MANAGER_IP6, VICTIM_IP6, m), craft.HOP_BY_HOP), "destination"),
    ("home-address", lambda m: ip6(MANAGER_IP6, TUNNEL_IP6, craft.options_header(craft.UDP, b"\xc9\4\0\0\0\0")
                                   + craft.udp(MANAGER_IP6, TUNNEL_IP6, m), craft.DESTINATION), None),
    ("fragment", lambda m: ip6(MANAGER_IP6, TUNNEL_IP6, craft.fragment_header(craft.UDP) + m + b"x" * 8,
                               craft.FRAGMENT), None),
    ("fragment-out", lambda m: ip6(MANAGER_IP6, VICTIM_IP6, craft.fragment_header(craft.UDP, more=False) + m,
                                   craft.FRAGMENT), "destination"),
    ("six-in-six", lambda m: ip6(MANAGER_IP6, TUNNEL_IP6, udp6(MANAGER_IP6, VICTIM_IP6, m), craft.IPV6), None),
    ("four-in-six", lambda m: ip6(MANAGER_IP6, TUNNEL_IP6, udp4(MANAGER_IP, VICTIM_IP, m), craft.IPIP), None),
    ("reflected", lambda m: ip6(VICTIM_IP6, TUNNEL_IP6, craft.icmp6(VICTIM_IP6, TUNNEL_IP6, 128, 0, b"\0\7\0\1", m),
                                craft.ICMPV6), None),
    ("martian-loopback", lambda m: udp6("::1", TUNNEL_IP6, m), None),
    ("martian-multicast", lambda m: udp6("ff02::1", TUNNEL_IP6, m), None),
    ("advertisement", lambda m: ip6("fe80::1", TUNNEL_IP6, craft.router_advertisement("fe80::1", TUNNEL_IP6, "fd50::"),
                                    craft.ICMPV6, hops=255), None),
    ("advertisement-all", lambda m: ip6("fe80::1", "ff02::1", craft.router_advertisement("fe80::1", "ff02::1", "fd50::"),
                                        craft.ICMPV6, hops=255), "destination"),
    ("redirect", lambda m: ip6("fe80::1", TUNNEL_IP6, craft.redirect6("fe80::1", TUNNEL_IP6, "fe80::66", VICTIM_IP6),
                               craft.ICMPV6, hops=255), None),
    ("solicitation", lambda m: ip6("fe80::1", TUNNEL_IP6, craft.neighbour("fe80::1", TUNNEL_IP6, 135, TUNNEL_IP6),
                                   craft.ICMPV6, hops=255), None),
    ("spoofed-neighbour", lambda m: ip6("fe80::1", TUNNEL_IP6, craft.neighbour("fe80::1", TUNNEL_IP6, 136, MANAGER_IP6),
                                        craft.ICMPV6, hops=255), None),
    ("other-family", lambda m: udp4(MANAGER_IP, VICTIM_IP, m), "no-address"),
    ("other-family-broadcast", lambda m: udp4(MANAGER_IP, "255.255.255.255", m), "no-address"),
]


def hostile_manager(world, cases):
    before, state = world.drops("in"), world.state()
    wanted = {}
    for name, build, reason in cases:
        world.from_manager(build(world.text(name)))
        if reason:
            wanted[reason] = wanted.get(reason, 0) + 1
    world.settle()
    assert {r: n - before.get(r, 0) for r, n in world.drops("in").items() if n != before.get(r, 0)} == wanted
    assert world.isolated.marked(world.mark.encode(), but=("fgfm0",)) == [], "not even on the namespace's loopback"
    assert world.state() == state
    world.assert_tight()


def test_hostile_manager(world):
    """Every packet that is not for the tunnel address is dropped for its reason; none goes on from there."""
    hostile_manager(world, FROM_MANAGER)


def test_hostile_manager_ipv6(world6):
    """The same with an IPv6 tunnel address, extension headers and all the tricks of neighbour discovery."""
    hostile_manager(world6, FROM_MANAGER6)


def inside_cases(tunnel):
    """What a local process with all rights puts onto the TUN: (name, packet, dropped for its source)."""
    if tunnel == TUNNEL_IP:
        good, bad, near, far = tunnel, STRANGER, udp4, VICTIM_IP
        more = [("source-route", lambda m: udp4(good, MANAGER_IP, m, options=craft.source_route(False, far)), False),
                ("source-route-forged", lambda m: udp4(bad, far, m, options=craft.source_route(True, far)), True),
                ("fragment", lambda m: udp4(good, far, m, more=True), False),
                ("fragment-forged", lambda m: udp4(bad, far, m, more=True), True),
                ("broadcast", lambda m: udp4(good, "255.255.255.255", m), False),
                ("broadcast-source", lambda m: udp4("255.255.255.255", far, m), True),
                ("multicast", lambda m: udp4(good, "224.0.0.1", m), False),
                ("loopback", lambda m: udp4("127.0.0.1", far, m), True),
                ("manager's own", lambda m: udp4(MANAGER_IP, DEVICE_IP, m), True),
                ("no source", lambda m: udp4("0.0.0.0", "255.255.255.255", m), True)]
    else:
        good, bad, near, far = tunnel, STRANGER6, udp6, VICTIM_IP6
        more = [("routing", lambda m: ip6(good, MANAGER_IP6, craft.routing_header(0, craft.UDP, far) + m, craft.ROUTING),
                 False),
                ("routing-forged", lambda m: ip6(bad, MANAGER_IP6, craft.routing_header(0, craft.UDP, far) + m,
                                                 craft.ROUTING), True),
                ("hop-by-hop", lambda m: ip6(bad, far, craft.options_header(craft.UDP) + m, craft.HOP_BY_HOP), True),
                ("all-nodes", lambda m: udp6(good, "ff02::1", m), False),
                ("link-local", lambda m: udp6("fe80::2", "ff02::1", m), True),
                ("loopback", lambda m: udp6("::1", far, m), True),
                ("unspecified", lambda m: udp6("::", "ff02::1", m), True)]
    return [("victim", lambda m: near(good, far, m), False), ("victim-forged", lambda m: near(bad, far, m), True),
            ("wire-forged", lambda m: near(bad, DEVICE_IP if far == VICTIM_IP else DEVICE_IP6, m), True), *more]


def hostile_process(world, addresses):
    before = world.drops("out").get("source", 0)
    cases = [(text, build(text), forged) for name, build, forged in inside_cases(world.tunnel_ip)
             for text in [world.text(name)]]
    world.from_inside([packet for _text, packet, _forged in cases])
    marks = {address: world.text("stack") for address in addresses}
    world.lab.isolated_ns.run(PYTHON, "-c", SEND_DATAGRAMS,
                              input="".join(f"{a} {m.decode()}\n" for a, m in marks.items()))
    world.settle()
    # at least: the kernel's own multicast reports come from no address and are dropped as well
    assert world.drops("out")["source"] - before >= sum(forged for _text, _packet, forged in cases)
    assert [text for text, _packet, forged in cases if forged and world.beyond.marked(text)] == []
    assert world.manager.errors() == [], "what reaches the manager comes from the tunnel address"
    world.assert_tight()


def test_hostile_process(world):
    """From inside only the manager can be reached, and only under the tunnel's own address."""
    hostile_process(world, [VICTIM_IP, LAN_IP, DEVICE_IP, "192.168.50.255", "255.255.255.255", "224.0.0.1"])


def test_hostile_process_ipv6(world6):
    """The same over IPv6."""
    hostile_process(world6, [VICTIM_IP6, LAN_IP6, DEVICE_IP6])


def test_abstract_sockets_are_apart(world):
    """A service of the host on an abstract socket is not there for a process in the namespace."""
    name = unique("fgfm-abstract")
    server = (f"import socket, time; s = socket.socket(socket.AF_UNIX); s.bind(chr(0) + {name!r}); s.listen(); "
              "print('listening', flush=True); time.sleep(60)")
    process = Process([*world.lab.device_ns.enter(), PYTHON, "-c", server], world.lab.folder / "abstract.log")
    world.lab.stack.callback(process.destroy)
    poll(lambda: "listening" in process.text(), 10, "the service")
    words = (PYTHON, "-c", CONNECT_ABSTRACT, name)
    assert world.lab.device_ns.run(*words, check=False).returncode == 0, "the control"
    assert world.lab.isolated_ns.run(*words, check=False).returncode == 1


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_hostile_neighbour(lab, family):
    """From the victim's wire nothing gets in: not to the tunnel address, not by the device that forwards."""
    world = World(lab, TUNNEL_IP if family == "IPv4" else TUNNEL_IP6)
    direct, routed, forged, last = (world.text(n) for n in ("direct", "routed", "forged", "control"))
    if family == "IPv4":
        packets = [udp4(VICTIM_IP, TUNNEL_IP, direct), udp4(MANAGER_IP, TUNNEL_IP, forged),
                   udp4(VICTIM_IP, LAN_IP, routed, options=craft.source_route(False, TUNNEL_IP)),
                   udp4(VICTIM_IP, LAN_IP, last)]
    else:
        packets = [udp6(VICTIM_IP6, TUNNEL_IP6, direct), udp6(MANAGER_IP6, TUNNEL_IP6, forged),
                   ip6(VICTIM_IP6, LAN_IP6, craft.routing_header(0, craft.UDP, TUNNEL_IP6)
                       + craft.udp(VICTIM_IP6, TUNNEL_IP6, routed), craft.ROUTING),
                   udp6(VICTIM_IP6, LAN_IP6, last)]
    send = ("import json, socket, sys\n"
            "sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n"
            "sock.bind(('eth0', 0))\n"
            "for line in sys.stdin:\n"
            "    sock.send(bytes.fromhex(line))\n")
    lan = lab.device_ns.ip("-j", "link", "show", "lan0").stdout
    mac = expect.search(r'"address":"([0-9a-f:]+)"', lan).group(1).replace(":", "")
    kind = "0800" if family == "IPv4" else "86dd"
    world.victim_ns.run(PYTHON, "-c", send, input="".join(f"{mac}020000000001{kind}{p.hex()}\n" for p in packets))
    world.device.wait(last)
    world.settle()
    seen = world.isolated.packets()
    assert not [p for _d, _w, p in seen if direct in p or routed in p or forged in p]
    assert world.manager.errors() == []


def test_services_of_the_host_are_out_of_reach(world):
    """A service on all addresses of the host gets nothing from the manager, whatever address is tried."""
    server = ("import socket; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('::', 7777)); "
              "print('listening', flush=True)\n"
              "while True: print(s.recvfrom(2048)[0].decode(), flush=True)")
    process = Process([*world.lab.device_ns.enter(), PYTHON, "-c", server], world.lab.folder / "service.log")
    world.lab.stack.callback(process.destroy)
    poll(lambda: "listening" in process.text(), 10, "the service")
    inside = world.text("forged")
    for address in (DEVICE_IP, LAN_IP, "127.0.0.1", TUNNEL_IP):
        world.from_manager(udp4(MANAGER_IP, address, inside))
    world.settle()
    control = world.text("control")
    world.lab.device_ns.run(PYTHON, "-c", SEND_DATAGRAMS, input=f"127.0.0.1 {control.decode()}\n")
    poll(lambda: control.decode() in process.text(), 10, "the control to arrive")
    assert inside.decode() not in process.text()
