"""Servers that packages are fetched from: tftpd-hpa and nginx, in a namespace of a test."""

from netns import Process, poll, run


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
        poll(lambda: namespace.run("ss", "-Hlun", "sport = :69").stdout, 5, "tftpd to listen")


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
