"""Servers that packages are fetched from, in a namespace of a test: tftpd-hpa, nginx, and some that break the rules.

What is called `lab` here only has to have a `folder` for logs and a `stack` to end the processes with.
"""

import base64
import hashlib
import pathlib

from netns import PYTHON, Process, poll, run

HERE = pathlib.Path(__file__).resolve().parent


def udp_is_open(namespace, port):
    return bool(namespace.run("ss", "-Hlun", f"sport = :{port}").stdout)


def tcp_answers(namespace, address, port):
    """Does somebody listen there? Looked up in the kernel's table, so that no connection disturbs."""
    rows = namespace.run("ss", "-Hltn", f"sport = :{port}").stdout.splitlines()
    return any(row.split()[3].rpartition(":")[0].strip("[]") in (address, "0.0.0.0", "*") for row in rows)


class Tftp:
    """in.tftpd with `folder` as all it can see."""

    def __init__(self, lab, namespace, address, folder):
        folder.chmod(0o755)
        listen = f"[{address}]:69" if ":" in address else f"{address}:69"
        self.process = Process([*namespace.enter(), "in.tftpd", "--foreground", "--address", listen, "--user",
                                "nobody", "--secure", folder], lab.folder / "tftpd.log")
        lab.stack.callback(self.process.destroy)
        poll(lambda: udp_is_open(namespace, 69), 5, "tftpd to listen")


def certificate(folder, address, name="web"):
    """A certificate of its own for an address; returns (certificate, key)."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    kind = "IP" if all(c in "0123456789abcdef.:" for c in address) else "DNS"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
        "-out", cert, "-days", "10000", "-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{address}")
    return cert, key


class Nginx:
    """nginx over HTTPS: each file of `folder` by its name, and what `locations` add."""

    def __init__(self, lab, namespace, address, folder, cert, key, port=443, locations=""):
        home = lab.folder / f"nginx-{len(list(lab.folder.glob('nginx-*')))}"
        home.mkdir()
        self.access = home / "access.log"
        listen = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        (home / "nginx.conf").write_text(f"""
daemon off;
master_process off;
pid {home}/pid;
error_log {home}/error.log;
events {{}}
http {{
    access_log {self.access};
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen {listen} ssl;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        root {folder};
        {locations}
    }}
}}
""")
        self.process = Process([*namespace.enter(), "nginx", "-p", home, "-c", home / "nginx.conf", "-e",
                                home / "error.log"], home / "out.log")
        lab.stack.callback(self.process.destroy)
        poll(lambda: tcp_answers(namespace, address, port), 5, "nginx to listen")

    def requests(self):
        return self.access.read_text().splitlines() if self.access.exists() else []


class Rogue:
    """A server of rogue.py: `kind` is "tftp" or "web"; what it does is the name of the file, or the path."""

    def __init__(self, lab, namespace, kind, address, port, *words):
        self.process = Process([*namespace.enter(), PYTHON, HERE / "rogue.py", kind, address, port, *words],
                               lab.folder / f"rogue-{kind}.log")
        lab.stack.callback(self.process.destroy)
        listens = udp_is_open if kind == "tftp" else lambda ns, p: tcp_answers(ns, address, p)
        poll(lambda: listens(namespace, port), 5, f"rogue {kind} to listen")


def name_server(lab, namespace, address, *names):
    """A DNS server; each name is NAME=ADDRESS. Returns the resolv.conf that leads there."""
    process = Process([*namespace.enter(), PYTHON, HERE / "dnsd.py", address, *names], lab.folder / "dnsd.log")
    lab.stack.callback(process.destroy)
    poll(lambda: "listening" in process.text(), 5, "the name server")
    resolv = lab.folder / "resolv.conf"
    resolv.write_text(f"nameserver {address}\n")
    return resolv


def key_digest(cert):
    """SHA-256 of the public key in a certificate's file, as the trusted list has it."""
    pem = run("openssl", "x509", "-in", cert, "-noout", "-pubkey").stdout
    return hashlib.sha256(base64.b64decode("".join(pem.splitlines()[1:-1]))).hexdigest()
