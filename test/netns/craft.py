"""IPv4 and IPv6 packets that mean no good, as bytes."""

import ipaddress
import struct

ICMP, IPIP, TCP, UDP, IPV6, GRE, ICMPV6 = 1, 4, 6, 17, 41, 47, 58
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60


def packed(address):
    return ipaddress.ip_address(address).packed


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip4(source, destination, payload, protocol, *, options=b"", offset=0, more=False, ttl=64):
    """One IPv4 packet; `offset` in bytes makes it a fragment."""
    options += b"\0" * (-len(options) % 4)
    size = 20 + len(options)
    header = struct.pack(">BBHHHBBH4s4s", 0x40 | size // 4, 0, size + len(payload), 77, (more << 13) | offset // 8,
                         ttl, protocol, 0, packed(source), packed(destination)) + options
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def ip6(source, destination, payload, protocol, *, hops=64):
    return struct.pack(">IHBB16s16s", 6 << 28, len(payload), protocol, hops, packed(source), packed(destination)) + payload


def pseudo(source, destination, length, protocol):
    ends = packed(source) + packed(destination)
    return ends + (struct.pack(">BBH", 0, protocol, length) if len(ends) == 8 else struct.pack(">IxxxB", length, protocol))


def udp(source, destination, data, port=7777):
    length = 8 + len(data)
    bare = struct.pack(">HHHH", 7776, port, length, 0) + data
    return bare[:6] + struct.pack(">H", checksum(pseudo(source, destination, length, UDP) + bare) or 0xFFFF) + bare[8:]


def icmp4(kind, code, rest, data):
    bare = struct.pack(">BBH4s", kind, code, 0, rest) + data
    return bare[:2] + struct.pack(">H", checksum(bare)) + bare[4:]


def icmp6(source, destination, kind, code, rest, data=b""):
    bare = struct.pack(">BBH4s", kind, code, 0, rest) + data
    return bare[:2] + struct.pack(">H", checksum(pseudo(source, destination, len(bare), ICMPV6) + bare)) + bare[4:]


def udp4(source, destination, data, **how):
    return ip4(source, destination, udp(source, destination, data), UDP, **how)


def udp6(source, destination, data):
    return ip6(source, destination, udp(source, destination, data), UDP)


def echo4(source, destination, data, **how):
    return ip4(source, destination, icmp4(8, 0, b"\0\7\0\1", data), ICMP, **how)


def source_route(strict, *hops):
    """RFC 791, 3.1: loose and strict source and record route."""
    return struct.pack(">BBB", 137 if strict else 131, 3 + 4 * len(hops), 4) + b"".join(map(packed, hops))


def routing_header(kind, next_protocol, *hops):
    """RFC 2460, 4.4 for type 0; the same shape serves for the other types."""
    return struct.pack(">BBBBI", next_protocol, 2 * len(hops), kind, len(hops), 0) + b"".join(map(packed, hops))


def options_header(next_protocol, option=b"\1\4\0\0\0\0"):
    """Hop-by-hop or destination options: six bytes of options after the two of the header."""
    return bytes((next_protocol, 0)) + option


def fragment_header(next_protocol, offset=0, more=True):
    return struct.pack(">BBHI", next_protocol, 0, offset | more, 4711)


def redirect4(router, victim, towards, marked):
    """ICMP redirect: `towards` is better reached through `router`; quotes a packet of the victim's."""
    quoted = udp4(victim, towards, marked)
    return icmp4(5, 1, packed(router), quoted)


def redirect6(source, victim, router, towards):
    return icmp6(source, victim, 137, 0, b"\0\0\0\0", packed(router) + packed(towards))


def router_advertisement(source, destination, prefix):
    """Default router for 1800 s with one prefix to configure addresses from."""
    option = struct.pack(">BBBBIII16s", 3, 4, 64, 0xC0, 86400, 14400, 0, packed(prefix))
    return icmp6(source, destination, 134, 0, struct.pack(">BBH", 64, 0, 1800), struct.pack(">II", 0, 0) + option)


def neighbour(source, destination, kind, target):
    """Solicitation (135) or advertisement (136, override) about `target` with a link-layer address."""
    flags = b"\x60\0\0\0" if kind == 136 else b"\0\0\0\0"
    option = bytes((2 if kind == 136 else 1, 1)) + bytes.fromhex("020000000066")
    return icmp6(source, destination, kind, 0, flags, packed(target) + option)
