#!/usr/bin/python3
"""dnsd.py ADDRESS NAME=IP... - answers A and AAAA questions for a few names, NXDOMAIN for the rest."""

import ipaddress
import socket
import struct
import sys

TYPES = {1: 4, 28: 6}


def question(packet):
    """(name, type, end of the question) of a query."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii", "replace"))
        at += 1 + packet[at]
    kind = struct.unpack_from(">H", packet, at + 1)[0]
    return ".".join(labels).lower(), kind, at + 5


def answer(packet, names):
    name, kind, end = question(packet)
    addresses = names.get(name)
    records = [struct.pack(">HHHIH", 0xC00C, kind, 1, 5, len(a.packed)) + a.packed
               for a in addresses or () if a.version == TYPES.get(kind)]
    flags = 0x8583 if addresses is None else 0x8580
    header = struct.pack(">HHHHHH", struct.unpack_from(">H", packet)[0], flags, 1, len(records), 0, 0)
    return header + packet[12:end] + b"".join(records)


def main():
    names = {}
    for word in sys.argv[2:]:
        name, _, address = word.partition("=")
        names.setdefault(name.lower(), []).append(ipaddress.ip_address(address))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((sys.argv[1], 53))
        print("listening", flush=True)
        while True:
            packet, peer = sock.recvfrom(2048)
            try:
                sock.sendto(answer(packet, names), peer)
            except (IndexError, struct.error):
                print(f"malformed query from {peer[0]}", flush=True)


if __name__ == "__main__":
    main()
