#!/usr/bin/python3
"""rogue.py tftp ADDRESS PORT | web ADDRESS PORT CERTIFICATE: servers that break the rules, as they are asked to.

TFTP, by file name:
  foreign      each block of good data comes after one from another port with other data
  before       other data from another address first, then good data (needs ADDRESS+1 in the namespace)
  endless      blocks without an end
  silent       no answer at all
  stalls       one block, then nothing
  error        an error with a message that no terminal should see
  others       good data

HTTPS, by path:
  /endless     a body without an end, in chunks     /stalls    a head, some bytes, then nothing
  /short       fewer bytes than its length says     /long-head a head without an end
  /junk        no HTTP at all                       /silent    nothing at all
  /two-lengths two lengths that differ              /lies      says it has 100 GB
  /late        good data, 100 bytes each 0.2 s
"""

import ipaddress
import socket
import ssl
import struct
import sys
import threading
import time

BLOCK = 512
GOOD = bytes(range(256)) * 10
EVIL = b"EVIL" * 128
ERROR_TEXT = b"\x1b[2Jno such\r\nfile"


# --- TFTP


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Transfer:
    """One client's file."""

    def __init__(self, address, client):
        self.client = client
        self.socket = socket.socket(family(address), socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.settimeout(10)

    def data(self, number, bytes_, from_=None):
        (from_ or self.socket).sendto(struct.pack(">HH", 3, number % 65536) + bytes_, self.client)

    def acknowledged(self):
        return struct.unpack(">HH", self.socket.recv(2048)[:4]) if self.socket else None

    def send(self, content, before_each=None):
        for number in range(1, len(content) // BLOCK + 2):
            if before_each:
                before_each(number)
            self.data(number, content[(number - 1) * BLOCK:number * BLOCK])
            self.acknowledged()


def other_socket(address):
    other = socket.socket(family(address), socket.SOCK_DGRAM)
    other.bind((address, 0))
    return other


def serve_file(name, address, client):
    transfer = Transfer(address, client)
    if name == "foreign":
        other = other_socket(address)

        def intrude(number):
            # the first answer says which port is the right one
            if number > 1:
                transfer.data(number, EVIL, other)
        transfer.send(GOOD, intrude)
    elif name == "before":
        other = other_socket(str(ipaddress.ip_address(address) + 1))
        transfer.send(GOOD, lambda number: transfer.data(number, EVIL, other))
    elif name == "endless":
        for number in range(1, 1 << 30):
            transfer.data(number, EVIL)
            transfer.acknowledged()
    elif name == "stalls":
        transfer.data(1, EVIL)
    elif name == "error":
        transfer.socket.sendto(struct.pack(">HH", 5, 1) + ERROR_TEXT + b"\0", client)
    elif name != "silent":
        transfer.send(GOOD)


def quietly(action, *words):
    try:
        action(*words)
    except (OSError, ssl.SSLError):
        pass  # the client had enough


def tftp(address, port):
    listener = socket.socket(family(address), socket.SOCK_DGRAM)
    listener.bind((address, port))
    while True:
        request, client = listener.recvfrom(2048)
        name = request[2:].split(b"\0")[0].decode()
        threading.Thread(target=quietly, args=(serve_file, name, address, client), daemon=True).start()


# --- HTTPS


def head(*fields):
    return "\r\n".join(["HTTP/1.1 200 OK", *fields, "", ""]).encode()


def endless(conn):
    conn.sendall(head("Transfer-Encoding: chunked"))
    while True:
        conn.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def stalls(conn):
    conn.sendall(head(f"Content-Length: {len(GOOD)}") + GOOD[:100])
    time.sleep(600)


def late(conn):
    conn.sendall(head(f"Content-Length: {len(GOOD)}"))
    for start in range(0, len(GOOD), 100):
        time.sleep(0.2)
        conn.sendall(GOOD[start:start + 100])


def long_head(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(1 << 20):
        conn.sendall(f"X-{number}: {'x' * 60}\r\n".encode())


ANSWERS = {
    "/endless": endless, "/stalls": stalls, "/late": late, "/long-head": long_head,
    "/short": lambda conn: conn.sendall(head(f"Content-Length: {len(GOOD)}") + GOOD[:-1]),
    "/junk": lambda conn: conn.sendall(b"\x00\x01\x02" * 100),
    "/silent": lambda conn: time.sleep(600),
    "/two-lengths": lambda conn: conn.sendall(head("Content-Length: 5", "Content-Length: 6") + b"123456"),
    "/lies": lambda conn: conn.sendall(head("Content-Length: 100000000000") + GOOD),
}


def answer(context, raw):
    with context.wrap_socket(raw, server_side=True) as conn:
        request = b""
        while b"\r\n\r\n" not in request:
            request += conn.recv(65536) or b"\r\n\r\n"
        ANSWERS[request.split()[1].decode().partition("?")[0]](conn)
        conn.unwrap()


def web(address, port, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.pem", f"{certificate}.key")
    listener = socket.create_server((address, port), family=family(address))
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=quietly, args=(answer, context, raw), daemon=True).start()


if __name__ == "__main__":
    if sys.argv[1] == "tftp":
        tftp(sys.argv[2], int(sys.argv[3]))
    else:
        web(sys.argv[2], int(sys.argv[3]), sys.argv[4])
