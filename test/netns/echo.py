#!/usr/bin/python3
"""echo.py ADDRESS [SECONDS] - one ICMP echo request over IPv4 or IPv6; exit 0 if it is answered."""

import ipaddress
import os
import socket
import struct
import sys
import time

KINDS = {4: (socket.AF_INET, socket.IPPROTO_ICMP, 8, 0), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129)}
PAYLOAD = b"are you there?"


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def answered(address, seconds):
    version = ipaddress.ip_address(address).version
    family, protocol, request, reply = KINDS[version]
    ident = os.getpid() & 0xFFFF
    packet = struct.pack(">BBHHH", request, 0, 0, ident, 1) + PAYLOAD
    if version == 4:
        packet = packet[:2] + struct.pack(">H", checksum(packet)) + packet[4:]
    deadline = time.monotonic() + seconds
    with socket.socket(family, socket.SOCK_RAW, protocol) as sock:
        sock.sendto(packet, (address, 0))
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            got = sock.recv(2048)
            got = got[(got[0] & 15) * 4:] if version == 4 else got
            if got[0] == reply and got[4:6] == struct.pack(">H", ident):
                return True
    return False


if __name__ == "__main__":
    try:
        sys.exit(0 if answered(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0) else 1)
    except OSError:
        sys.exit(1)
