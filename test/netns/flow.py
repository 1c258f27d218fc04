#!/usr/bin/python3
"""flow.py - numbered bytes and datagrams over a path under test, both ends; prints one line of JSON when it is over.

    flow.py sink ADDRESS PORT tcp|udp              the receiving end; `listening` comes first
    flow.py source ADDRESS PORT tcp|udp COUNT      COUNT MiB of a stream, or COUNT datagrams of 1,200 bytes; `connected`
                                                   comes first

A stream is judged by its digest. Each datagram carries its number; ten leave at once, as one batch of the kernel's
where it can (UDP_SEGMENT), with a pause behind them: a queue that overflows would hide what is looked for.
"""

import hashlib
import ipaddress
import json
import socket
import struct
import sys
import time

MIB = 1 << 20
DATAGRAM = 1200
BATCH = 10
PAUSE = 0.002
QUIET = 1.5  # seconds after which no further datagram is on its way
SOL_UDP, UDP_SEGMENT = 17, 103


def family(address):
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET


def say(**facts):
    print(json.dumps(facts), flush=True)


def piece(number):
    """The number-th MiB: different from every other."""
    return hashlib.sha256(struct.pack(">I", number)).digest() * (MIB // 32)


def sink_tcp(address, port):
    with socket.create_server((address, port), family=family(address)) as server:
        print("listening", flush=True)
        connection, _ = server.accept()
        digest, total = hashlib.sha256(), 0
        while data := connection.recv(MIB):
            digest.update(data)
            total += len(data)
        say(bytes=total, digest=digest.hexdigest())


def source_tcp(address, port, count):
    digest = hashlib.sha256()
    with socket.create_connection((address, port)) as connection:
        print("connected", flush=True)
        for number in range(count):
            connection.sendall(piece(number))
            digest.update(piece(number))
    say(bytes=count * MIB, digest=digest.hexdigest())


def sink_udp(address, port):
    with socket.socket(family(address), socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * MIB)
        sock.bind((address, port))
        print("listening", flush=True)
        numbers, damaged = [], 0
        while True:
            try:
                data = sock.recv(65536)
            except socket.timeout:
                break
            sock.settimeout(QUIET)
            number = struct.unpack(">I", data[:4])[0]
            damaged += data != struct.pack(">I", number) * (DATAGRAM // 4)
            numbers.append(number)
    say(count=len(numbers), damaged=damaged, reordered=sum(b <= a for a, b in zip(numbers, numbers[1:])))


def source_udp(address, port, count):
    with socket.socket(family(address), socket.SOCK_DGRAM) as sock:
        sock.connect((address, port))
        print("connected", flush=True)
        try:
            sock.setsockopt(SOL_UDP, UDP_SEGMENT, DATAGRAM)
            batched = True
        except OSError:
            batched = False
        for first in range(0, count, BATCH):
            datagrams = [struct.pack(">I", n) * (DATAGRAM // 4) for n in range(first, min(first + BATCH, count))]
            for data in [b"".join(datagrams)] if batched else datagrams:
                sock.send(data)
            time.sleep(PAUSE)
    say(count=count)


def main():
    role, address, port, kind = sys.argv[1:5]
    if role == "sink":
        {"tcp": sink_tcp, "udp": sink_udp}[kind](address, int(port))
    else:
        {"tcp": source_tcp, "udp": source_udp}[kind](address, int(port), int(sys.argv[5]))


if __name__ == "__main__":
    main()
