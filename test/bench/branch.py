#!/usr/bin/python3
"""Makes configurations for tests and benchmarks; the same arguments give the same text everywhere.

  branch.py branch LINES    a branch firewall of at least that many lines: interfaces with VLANs and secondary
                            addresses, routes, addresses, groups, services, policies
  branch.py objects COUNT   COUNT firewall objects: four addresses for each policy; a policy refers to four addresses
  branch.py routes COUNT    COUNT static routes over one interface

The text is what the agent prints of it: attributes in the order of the schema, defaults left out.
"""

import argparse
import random
import sys
import uuid

PORTS = ["wan1", "wan2", "dmz", "lan"] + [f"port{n}" for n in range(5, 13)]
SERVICES = {"HTTP": "80", "HTTPS": "443", "SSH": "22", "DNS": "53", "SMTP": "25", "IMAPS": "993", "RDP": "3389",
            "LDAPS": "636", "SMB": "445", "NTP": "123", "SYSLOG": "514", "SNMP": "161-162"}
PLACES = ["berlin", "lyon", "porto", "oslo", "graz", "turin", "gent", "brno", "cork", "malmo"]
KINDS = ["srv", "client", "printer", "camera", "voip", "plc", "vpn", "guest"]


class Writer:
    """Lines of the CLI, indented."""

    def __init__(self):
        self.lines = []
        self.depth = 0

    def line(self, *words):
        self.lines.append(" " * 4 * self.depth + " ".join(words))

    def begin(self, *words):
        self.line(*words)
        self.depth += 1

    def finish(self, word):
        self.depth -= 1
        self.line(word)

    def text(self):
        return "\n".join(self.lines) + "\n"


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quoted(texts):
    return " ".join(map(quote, texts))


def host(number):
    """The n-th host address of 10.0.0.0/8."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def identity(rng):
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def write_global(w, rng):
    w.begin("config system global")
    w.line("set hostname", quote(f"branch-{rng.choice(PLACES)}"))
    w.line("set admintimeout", str(rng.randrange(10, 120)))
    w.finish("end")


def write_vlan(w, rng, name, parent, tag):
    w.begin("edit", quote(name))
    w.line(f"set ip 172.{16 + tag // 256}.{tag % 256}.1 255.255.255.0")
    w.line("set allowaccess ping", rng.choice(["https", "ssh", "snmp"]))
    w.line("set type vlan")
    w.line("set interface", quote(parent))
    w.line("set vlanid", str(tag))
    second = rng.random() < 0.2
    if second:
        w.line("set secondary-IP enable")
    w.line("set description", quote(f'VLAN {tag} "{rng.choice(KINDS)}"'))
    w.line("set role lan")
    if second:
        w.begin("config secondaryip")
        w.begin("edit 1")
        w.line(f"set ip 172.{24 + tag // 256}.{tag % 256}.1 255.255.255.0")
        w.line("set allowaccess ping")
        w.finish("next")
        w.finish("end")
    w.finish("next")


def write_interfaces(w, rng, vlans):
    names = list(PORTS)
    w.begin("config system interface")
    for number, port in enumerate(PORTS):
        w.begin("edit", quote(port))
        w.line(f"set ip 192.168.{number}.1 255.255.255.0")
        w.line("set allowaccess ping https ssh fgfm" if port.startswith("wan") else "set allowaccess ping")
        w.line("set role", "wan" if port.startswith("wan") else "lan")
        w.finish("next")
    for tag in range(2, 2 + vlans):
        names.append(f"vlan{tag}")
        write_vlan(w, rng, names[-1], rng.choice(PORTS[3:]), tag)
    w.finish("end")
    return names


def write_routes(w, rng, count, names):
    w.begin("config router static")
    for number in range(1, count + 1):
        w.begin("edit", str(number))
        w.line("set dst", host(number << 8), "255.255.255.0")
        w.line(f"set gateway 192.168.{rng.randrange(12)}.254")
        if rng.random() < 0.3:
            w.line("set distance", str(rng.randrange(11, 250)))
        w.line("set device", quote(rng.choice(names)))
        if rng.random() < 0.2:
            w.line("set comment", quote(f"to {rng.choice(PLACES)}"))
        w.finish("next")
    w.finish("end")


def write_one_address(w, rng, number, name):
    kind = rng.random()
    w.begin("edit", quote(name))
    w.line("set uuid", identity(rng))
    if kind < 0.8:
        w.line("set subnet", host(number), "255.255.255.255")
    elif kind < 0.9:
        w.line("set type iprange")
        w.line("set start-ip", host(number))
        w.line("set end-ip", host(number + 16))
    else:
        w.line("set type fqdn")
        w.line("set fqdn", quote(f"{name}.example.net"))
    if rng.random() < 0.3:
        w.line("set comment", quote(f"{rng.choice(PLACES)}, rack {rng.randrange(40)}\\{rng.randrange(9)}"))
    if rng.random() < 0.2:
        w.line("set color", str(rng.randrange(1, 33)))
    w.finish("next")


def write_addresses(w, rng, count):
    names = []
    w.begin("config firewall address")
    for number in range(count):
        names.append(f"{rng.choice(KINDS)}-{rng.choice(PLACES)}-{number}")
        write_one_address(w, rng, number, names[-1])
    w.finish("end")
    return names


def write_groups(w, rng, count, addresses):
    names = []
    w.begin("config firewall addrgrp")
    for number in range(count):
        members = rng.sample(addresses, min(rng.randrange(2, 24), len(addresses)))
        if names and rng.random() < 0.1:
            members.append(names[rng.randrange(len(names))])
        names.append(f"grp-{rng.choice(PLACES)}-{number}")
        w.begin("edit", quote(names[-1]))
        w.line("set uuid", identity(rng))
        w.line("set member", quoted(members))
        w.finish("next")
    w.finish("end")
    return names


def write_services(w, rng, count):
    names = []
    w.begin("config firewall service custom")
    for number in range(count):
        name, port = rng.choice(list(SERVICES.items()))
        names.append(name if name not in names else f"{name}-{number}")
        w.begin("edit", quote(names[-1]))
        w.line("set uuid", identity(rng))
        w.line("set category", quote(rng.choice(["General", "Web Access", "Remote Access"])))
        w.line("set tcp-portrange", port, str(1024 + number))
        if rng.random() < 0.3:
            w.line("set udp-portrange", port)
        w.finish("next")
    w.finish("end")
    return names


def write_policies(w, rng, count, ports, addresses, services):
    w.begin("config firewall policy")
    for number in range(1, count + 1):
        w.begin("edit", str(number))
        if rng.random() < 0.05:
            w.line("set status disable")
        w.line("set name", quote(f"{rng.choice(PLACES)} {rng.choice(KINDS)} {number}"))
        w.line("set uuid", identity(rng))
        w.line("set srcintf", quoted(rng.sample(ports, rng.randrange(1, 3))))
        w.line("set dstintf", quote(rng.choice(ports)))
        w.line("set action accept")
        w.line("set srcaddr", quoted(rng.sample(addresses, rng.randrange(1, 5))))
        w.line("set dstaddr", quoted(rng.sample(addresses, rng.randrange(1, 5))))
        w.line("set service", quoted(rng.sample(services, rng.randrange(1, 4))))
        w.line('set schedule "always"')
        if rng.random() < 0.3:
            w.line("set nat enable")
        if rng.random() < 0.5:
            w.line("set logtraffic all")
        if rng.random() < 0.2:
            w.line("set comments", quote(f"asked for by {rng.choice(PLACES)},\nticket {rng.randrange(10**6)}"))
        w.finish("next")
    w.finish("end")


def branch(lines, seed=1):
    """At least `lines` lines that look like a branch firewall."""
    rng = random.Random(seed)
    w = Writer()
    write_global(w, rng)
    ports = write_interfaces(w, rng, max(2, min(lines // 500, 2000)))
    write_routes(w, rng, max(1, lines // 125), ports)
    addresses = write_addresses(w, rng, max(8, lines // 10))
    groups = write_groups(w, rng, max(1, lines // 100), addresses)
    services = write_services(w, rng, max(8, lines // 125))
    left = lines - len(w.lines)
    write_policies(w, rng, max(1, left // 12), ports, addresses + groups, services)
    return w.text()


def objects(count, seed=1):
    """`count` objects: addresses, and one policy for four of them."""
    rng = random.Random(seed)
    w = Writer()
    policies = count // 5
    names = [f"host-{number}" for number in range(count - policies)]
    w.begin("config system interface")
    for port in ("lan", "wan1"):
        w.begin("edit", quote(port))
        w.finish("next")
    w.finish("end")
    w.begin("config firewall address")
    for number, name in enumerate(names):
        w.begin("edit", quote(name))
        w.line("set subnet", host(number), "255.255.255.255")
        w.line("set comment", quote(f"number {number}"))
        w.finish("next")
    w.finish("end")
    w.begin("config firewall policy")
    for number in range(1, policies + 1):
        w.begin("edit", str(number))
        w.line("set name", quote(f"policy {number}"))
        w.line('set srcintf "lan"')
        w.line('set dstintf "wan1"')
        w.line("set action accept")
        w.line("set srcaddr", quoted(rng.sample(names, 2)))
        w.line("set dstaddr", quoted(rng.sample(names, 2)))
        w.line('set service "ALL"')
        w.line('set schedule "always"')
        w.line("set logtraffic all")
        w.finish("next")
    w.finish("end")
    return w.text()


def routes(count, seed=1):
    """`count` static routes to networks of their own, over "bench0"."""
    rng = random.Random(seed)
    w = Writer()
    w.begin("config system interface")
    w.begin("edit", quote("bench0"))
    w.line("set ip 192.0.2.1 255.255.255.0")
    w.finish("next")
    w.finish("end")
    w.begin("config router static")
    for number in range(1, count + 1):
        w.begin("edit", str(number))
        w.line("set dst", host(number << 4), "255.255.255.240")
        w.line(f"set gateway 192.0.2.{rng.randrange(2, 255)}")
        w.line("set device", quote("bench0"))
        w.finish("next")
    w.finish("end")
    return w.text()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["branch", "objects", "routes"])
    parser.add_argument("size", type=int)
    parser.add_argument("--seed", type=int, default=1, help="another one makes another text (%(default)s)")
    options = parser.parse_args()
    make = {"branch": branch, "objects": objects, "routes": routes}[options.what]
    sys.stdout.write(make(options.size, options.seed))


if __name__ == "__main__":
    main()
