"""The tunnels that are measured beside each other, all up at the same time between the same two namespaces.

Ours goes from the agent's isolated namespace to the benchmark's manager; the others join the device's and the manager's
namespace over the same cable. Each idles while another is measured.
"""

import base64
import contextlib
import hashlib
import os
import pathlib
import subprocess

from harness import DEVICE_IP, MANAGER_IP, MANAGER_SERIAL, REAL_TIME, ROOT, TUNNEL_IP
from netns import Process, poll, run

PROGRAMS = pathlib.Path(os.environ.get("BENCH", ROOT / "build" / "bench"))
FMG_IP = "169.254.0.1"
MTU = 1500
# a TUN's queue counts packets however large: the default of 500 is many milliseconds
MANAGER_QUEUE = 64


class Tunnel:
    """One tunnel that is up: `near` is the device's end."""

    def __init__(self, name, near, far, near_ip, far_ip, process):
        self.name = name
        self.near, self.far = near, far
        self.near_ip, self.far_ip = near_ip, far_ip
        self._process = process

    @property
    def pid(self):
        """The process at the device's end; another one after a restart."""
        return self._process.program_pid or self._process.root

    def wait(self):
        poll(lambda: self.near.run("ping", "-c1", "-W1", "-q", self.far_ip, check=False).returncode == 0, 20,
             f"a packet through {self.name}; the log:\n{self._process.text()[-1500:]}")
        return self


class Bench:
    """The namespaces and what runs in them, in a harness.Lab."""

    def __init__(self, lab):
        self.lab = lab
        self.manager = None

    def start(self, namespace, name, *words):
        """A process in a namespace; it ends with the lab."""
        process = Process([*namespace.enter(), *words], self.lab.folder / f"{name}.log")
        self.lab.stack.callback(process.destroy)
        return process

    def start_and_wait(self, namespace, name, line, *words):
        """... that says so when it is ready."""
        process = self.start(namespace, name, *words)
        poll(lambda: line in process.text(), 10, f"{name} to say {line!r}: {process.text()}")
        return process

    # ours

    def start_manager(self):
        pki = self.lab.pki
        self.manager = self.start_and_wait(
            self.lab.manager_ns, "manager", "listening", PROGRAMS / "manager", "--listen", MANAGER_IP,
            "--cert", f"{pki}/manager.pem", "--key", f"{pki}/manager.key", "--ca", f"{pki}/ca.pem", "--tun", "fmg0",
            "--serial", MANAGER_SERIAL, "--fmg-ip", FMG_IP, "--device-ip", TUNNEL_IP)
        ip = self.lab.manager_ns.ip
        ip("address", "add", f"{FMG_IP}/32", "dev", "fmg0")
        ip("link", "set", "fmg0", "mtu", MTU, "up")
        self.set_manager_queue()
        ip("route", "add", f"{TUNNEL_IP}/32", "dev", "fmg0")

    def set_manager_queue(self, packets=MANAGER_QUEUE):
        self.lab.manager_ns.ip("link", "set", "fmg0", "txqueuelen", packets)

    def ours(self):
        if not self.manager:
            self.start_manager()
        agent = self.lab.agent.start(faketime=REAL_TIME, level="0")
        return Tunnel("fgfmd", self.lab.isolated_ns, self.lab.manager_ns, TUNNEL_IP, FMG_IP, agent.process).wait()

    # OpenVPN over TCP, both ends alike, TLS and AES-256-GCM

    def _openvpn(self, name, number, *options):
        pki = self.lab.pki
        near_ip, far_ip = f"10.8.{number}.1", f"10.8.{number}.2"
        common = ["--disable-dco", "--dev", f"ov{number}", "--dev-type", "tun", "--ca", f"{pki}/ca.pem",
                  "--cipher", "AES-256-GCM", "--data-ciphers", "AES-256-GCM", "--auth", "SHA256", "--verb", "2",
                  *options]
        port = str(1194 + number)
        self.start(self.lab.manager_ns, f"{name}-far", "openvpn", "--proto", "tcp-server", "--port", port,
                   "--tls-server", "--dh", "none", "--cert", f"{pki}/manager.pem", "--key", f"{pki}/manager.key",
                   "--ifconfig", far_ip, near_ip, *common)
        near = self.start(self.lab.device_ns, name, "openvpn", "--proto", "tcp-client", "--remote", MANAGER_IP, port,
                          "--tls-client", "--cert", f"{pki}/device.pem", "--key", f"{pki}/device.key",
                          "--connect-retry", "1", "--ifconfig", near_ip, far_ip, *common)
        return Tunnel(name, self.lab.device_ns, self.lab.manager_ns, near_ip, far_ip, near).wait()

    def openvpn(self):
        return self._openvpn("openvpn", 1, "--tun-mtu", str(MTU))

    def openvpn_tuned(self):
        return self._openvpn("openvpn tuned", 2, "--tun-mtu", str(MTU), "--mssfix", "0", "--txqueuelen", "10000",
                             "--tcp-queue-limit", "4096", "--sndbuf", "4194304", "--rcvbuf", "4194304",
                             "--socket-flags", "TCP_NODELAY")

    def openvpn_9000(self):
        return self._openvpn("openvpn mtu 9000", 3, "--tun-mtu", "9000", "--mssfix", "0", "--txqueuelen", "10000",
                             "--tcp-queue-limit", "1024")

    # openconnect with ocserv, TLS only

    def _ocserv(self, folder):
        password = run("openssl", "passwd", "-5", "pw").stdout.strip()
        (folder / "users").write_text(f"u:*:{password}\n")
        pki = self.lab.pki
        (folder / "ocserv.conf").write_text(
            f'auth = "plain[passwd={folder}/users]"\ntcp-port = 4443\nrun-as-user = root\nrun-as-group = root\n'
            f"socket-file = {folder}/ocserv.sock\npid-file = {folder}/ocserv.pid\nisolate-workers = false\n"
            f"max-clients = 8\nmax-same-clients = 8\nserver-cert = {pki}/manager.pem\nserver-key = {pki}/manager.key\n"
            f"keepalive = 3600\ndpd = 600\nmtu = {MTU}\ndevice = vpns\nipv4-network = 10.9.0.0\n"
            "ipv4-netmask = 255.255.255.0\nroute = 10.9.0.0/24\ncisco-client-compat = true\nno-udp = true\n"
            'compression = false\nrekey-time = 172800\ntls-priorities = "NORMAL:%SERVER_PRECEDENCE"\n')
        self.start(self.lab.manager_ns, "ocserv", "ocserv", "-f", "-c", folder / "ocserv.conf")
        poll(lambda: "4443" in self.lab.manager_ns.run("ss", "-Hltn").stdout, 10, "ocserv to listen")

    def _pin(self):
        """The manager's key as openconnect wants it named."""
        key = subprocess.run(["openssl", "pkey", "-in", f"{self.lab.pki}/manager.key", "-pubout", "-outform", "der"],
                             capture_output=True, check=True).stdout
        return "pin-sha256:" + base64.b64encode(hashlib.sha256(key).digest()).decode()

    def openconnect(self):
        folder = self.lab.folder / "openconnect"
        folder.mkdir()
        self._ocserv(folder)
        script, password = folder / "script", folder / "password"
        script.write_text('#!/bin/sh\n[ "$reason" = connect ] || exit 0\n'
                          'ip address add "$INTERNAL_IP4_ADDRESS/32" dev "$TUNDEV"\n'
                          'ip link set "$TUNDEV" mtu "${INTERNAL_IP4_MTU:-1400}" up\n'
                          'ip route add 10.9.0.0/24 dev "$TUNDEV"\n')
        script.chmod(0o755)
        password.write_text("pw\n")
        near = self.start(self.lab.device_ns, "openconnect", "sh", "-c", 'exec < "$0"; exec "$@"', password,
                          "openconnect", "--no-dtls", "--user", "u", "--passwd-on-stdin", "--servercert", self._pin(),
                          "--script", script, "--interface", "oc0", "--non-inter", "--base-mtu=1600",
                          f"{MANAGER_IP}:4443")
        found = poll(lambda: self.lab.device_ns.addresses("oc0"), 15, f"openconnect: {near.text()}")
        return Tunnel("openconnect", self.lab.device_ns, self.lab.manager_ns, found.pop().split("/")[0], "10.9.0.1",
                      near).wait()

    # socat: a TUN device and OpenSSL, a packet a record

    def socat(self):
        pki = self.lab.pki
        both = self.lab.folder / "socat.pem"
        both.write_text(pathlib.Path(f"{pki}/manager.pem").read_text() + pathlib.Path(f"{pki}/manager.key").read_text())
        self.start(self.lab.manager_ns, "socat-far", "socat", "-b", "16384",
                   f"OPENSSL-LISTEN:5555,reuseaddr,cert={both},verify=0,nodelay",
                   "TUN:10.10.0.2/24,tun-name=sc0,iff-no-pi,iff-up")
        poll(lambda: "5555" in self.lab.manager_ns.run("ss", "-Hltn").stdout, 10, "socat to listen")
        near = self.start(self.lab.device_ns, "socat", "socat", "-b", "16384",
                          f"OPENSSL:{MANAGER_IP}:5555,verify=0,nodelay",
                          "TUN:10.10.0.1/24,tun-name=sc0,iff-no-pi,iff-up")
        return Tunnel("socat", self.lab.device_ns, self.lab.manager_ns, "10.10.0.1", "10.10.0.2", near).wait()

    # no tunnel at all

    def cable(self):
        """The cable itself, for what the machine can do."""
        idle = self.start(self.lab.device_ns, "cable", "sleep", "infinity")
        return Tunnel("no tunnel", self.lab.device_ns, self.lab.manager_ns, DEVICE_IP, MANAGER_IP, idle)


# name: how it is set up; in the order of the table
CASES = {"fgfmd": Bench.ours, "openvpn": Bench.openvpn, "openvpn-tuned": Bench.openvpn_tuned,
         "openconnect": Bench.openconnect, "socat": Bench.socat, "openvpn-9000": Bench.openvpn_9000,
         "cable": Bench.cable}
# what a tunnel of MTU 1500 competes with
RIVALS = ("openvpn", "openvpn-tuned", "openconnect", "socat")


@contextlib.contextmanager
def iperf_server(bench):
    bench.start(bench.lab.manager_ns, "iperf3", "iperf3", "-s")
    poll(lambda: "5201" in bench.lab.manager_ns.run("ss", "-Hltn").stdout, 10, "iperf3 to listen")
    yield
