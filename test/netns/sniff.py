#!/usr/bin/python3
"""sniff.py MARK [ADDRESS…] - what of somebody's traffic comes by, on all interfaces of this namespace.

A packet is of interest when it holds the mark (text), or is an IP or ARP packet from, to or about one of the
addresses. Each is one line on standard output: INTERFACE in|out HEX. The first line is "listening".
"""

import ipaddress
import socket
import sys

ETH_P_ALL = 3
OUTGOING = 4


def ends(packet, protocol):
    """Addresses a packet speaks of, as bytes."""
    if protocol == 0x0806:
        return packet[14:18], packet[24:28]
    version = packet[0] >> 4 if packet else 0
    if version == 4:
        return packet[12:16], packet[16:20]
    return (packet[8:24], packet[24:40]) if version == 6 else ()


def main():
    mark = sys.argv[1].encode()
    wanted = {ipaddress.ip_address(a).packed for a in sys.argv[2:]}
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        print("listening", flush=True)
        while True:
            packet, (device, protocol, kind, *_rest) = sock.recvfrom(65536)
            if mark in packet or wanted.intersection(ends(packet, protocol)):
                print(device, "out" if kind == OUTGOING else "in", packet.hex(), flush=True)


if __name__ == "__main__":
    main()
