"""The isolated hosts of one test: a device namespace with the agent, a manager namespace with lab managers.

    wan1 192.168.48.81/24  device  <--veth-->  manager  192.168.48.46/24 eth0

The addresses are the guide's; every test has its own namespaces, so they never clash.
"""

import contextlib
import ipaddress
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import expect
from netns import PYTHON, Namespace, Process, poll, run, unique

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "lab"))

from control import ControlClient, ControlError  # noqa: E402

FGFMD = os.environ.get("FGFMD", str(ROOT / "build" / "fgfmd"))
FGFMCTL = os.environ.get("FGFMCTL", str(ROOT / "build" / "fgfmctl"))

DEVICE_SERIAL = "FGVM010000000001"
MANAGER_SERIAL = "FMG-VM0000000001"
DEVICE_IP, MANAGER_IP, TUNNEL_IP = "192.168.48.81", "192.168.48.46", "169.254.0.2"
DEVICE_IP6, MANAGER_IP6 = "fd48::81", "fd48::46"

# Most tests run the agent's clock somewhat faster than real, so that its back-off of a second and more
# costs little; those about long timers run it fast, those about promptness in real time.
BRISK = "+0 x20"
SPEED = 100
FAST = f"+0 x{SPEED}"
REAL_TIME = None
AT_1970 = "@1970-01-02 00:00:00"

DEVICE_CONFIG = """config system global
    set hostname "FGVM010000000001"
end
config system interface
    edit "wan1"
        set vdom "root"
        set ip 192.168.48.81 255.255.255.0
        set allowaccess ping https ssh snmp http telnet fgfm
        set type physical
    next
    edit "modem"
        set vdom "root"
        set type physical
    next
end
config router static
    edit 1
        set gateway 192.168.48.1
        set device "wan1"
    next
end
"""


def real(agent_seconds, speed=SPEED, slack=4.0):
    """Real seconds within which something due after so many seconds of the agent's clock has to happen."""
    return agent_seconds / speed + slack


def move_wan1(address, mask="255.255.255.0"):
    """The guide's install: another address for wan1."""
    return ("config system interface\n"
            '    edit "wan1"\n'
            f"        set ip {address} {mask}\n"
            "    next\n"
            "end\n")


GUIDE_SET = "get sys status\nget system mgmt-csum\n" + move_wan1("192.168.49.81")
GUIDE_UNSET = (move_wan1(DEVICE_IP) + 'config system interface\n    edit "modem"\n        unset type\n    next\nend\n'
               "config system central-management\nend\n")

HARMLESS_SET = 'config system global\n    set hostname "renamed"\nend\n'
HARMLESS_UNSET = f'config system global\n    set hostname "{DEVICE_SERIAL}"\nend\n'

# many commands that change the system
ROUTES = 120
ROUTES_SET = HARMLESS_SET + "config router static\n" + "".join(
    f"    edit {number}\n        set dst 10.9.{number}.0 255.255.255.0\n        set blackhole enable\n    next\n"
    for number in range(100, 100 + ROUTES)) + "end\n"
ROUTES_UNSET = HARMLESS_UNSET + "config router static\n" + "".join(
    f"    delete {number}\n" for number in range(100, 100 + ROUTES)) + "end\n"

# every netlink request takes this long: applying and reverting last some seconds, and can be met in the middle
SLOW_NETLINK = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=sendmsg", "-e", "inject=sendmsg:delay_enter=10000"]


def ip_packet(source, destination, payload=b"", protocol=1, length=None):
    """One IPv4 packet with a good header checksum; `length` overrides the header's own length field."""
    total = 20 + len(payload) if length is None else length
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, 1, 0, 64, protocol, 0,
                         ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed)
    words = struct.unpack(">10H", header)
    checksum = sum(words)
    while checksum >> 16:
        checksum = (checksum & 0xFFFF) + (checksum >> 16)
    return header[:10] + struct.pack(">H", ~checksum & 0xFFFF) + header[12:] + payload


class Manager:
    """A lab manager process and its control socket."""

    def __init__(self, lab, name, options):
        self.client = ControlClient(str(lab.folder / f"{name}.sock"))
        words = [*lab.manager_ns.enter(), PYTHON, HERE.parent / "lab" / "fmg", "serve",
                 "--control", self.client.path, *options]
        self.process = Process(words, lab.folder / f"{name}.log")
        poll(self._listening, 10, "the manager to listen")

    def _listening(self):
        assert self.process.alive(), self.process.text()
        try:
            return self.events("listening")
        except ControlError:
            return None

    def mark(self):
        """Number of the last event: pass it as `since` to look at later ones only."""
        return self.client.call("status")["last_event"]

    def wait(self, event, timeout=10.0, since=0, **match):
        return self.client.call("wait", event=event, match=match, timeout=timeout, since=since)["found"]

    def events(self, event="*", since=0, **match):
        return self.client.call("list_events", event=event, since=since, match=match)["events"]

    def ready(self, timeout=10.0, since=0):
        """A session that is up and registered."""
        return self.wait("ready", timeout, since, registered=True)

    def errors(self):
        """What the lab holds against the agent."""
        return [f"{e['what']}: expected {e['expected']}, got {e['got']}" for e in self.events("protocol_error")]

    def behave(self, *settings):
        """Each setting is KEY=VALUE."""
        self.client.call("behaviour", set=dict(s.split("=", 1) for s in settings))

    def well_behaved(self):
        self.client.call("behaviour", reset=True)

    def use_certificate(self, pki, name, serial=None):
        self.client.call("cert", cert=f"{pki}/{name}.pem", key=f"{pki}/{name}.key", new_serial=serial)

    def install(self, install_id, set_script, unset_script, **options):
        self.client.call("install", id=install_id, set=set_script, unset=unset_script, **options)

    def install_and_wait(self, install_id, set_script, unset_script, timeout=15.0, **options):
        """Send an install and wait for its verdict, by channel or by receipt. Returns (verdict, text)."""
        since = self.mark()
        self.install(install_id, set_script, unset_script, **options)
        return self.verdict(install_id, timeout, since)

    def verdict(self, install_id, timeout=15.0, since=0):
        """(verdict, what was said with it) of an install, however it comes."""
        def look():
            for event in self.events(since=since, install_id=install_id):
                if event["event"] == "result":
                    return event["result"], event["line"]
                if event["event"] == "receipt":
                    return expect.verdict(event["receipt"]), json.dumps(event["receipt"])
                if event["event"] == "install_refused":
                    return "refused", f"{event['code']} {event['reason']}"
            return None
        return poll(look, timeout, f"the verdict of install {install_id}", every=0.05)

    def result_lines(self, install_id, since=0):
        return [(e["code"], e["command"]) for e in self.events("result_line", since, install_id=install_id)]

    def receipt(self, install_id, timeout=15.0, since=0):
        return self.wait("receipt", timeout, since, install_id=install_id)["receipt"]

    def sessions(self):
        return self.client.call("sessions")["sessions"]

    def get_config(self, full=False):
        return self.client.call("get_config", full=full)["config"]

    def call(self, op, **arguments):
        return self.client.call(op, **arguments)


class FakeClock:
    """Keeps the agent's clock going on over restarts, where each faketime would begin at the real time again.

    A clock that jumps back between two starts does not exist on a real machine that was not rebooted.
    """

    def __init__(self):
        self._ahead = 0.0
        self._since = None
        self._speed = 1

    def next(self, specification):
        """The specification to start with, given the one wanted."""
        now = time.monotonic()
        if self._since is not None:
            self._ahead += (now - self._since) * (self._speed - 1)
        prefix, _, speed = (specification or "").partition(" x")
        self._since, self._speed = now, int(speed or 1)
        return f"+{int(self._ahead)} x{speed}" if prefix == "+0" and self._ahead else specification


class Agent:
    """The agent: its files, its process, its tool."""

    def __init__(self, lab, certificate="device"):
        self.lab = lab
        self.folder = lab.folder / "agent"
        self.state = self.folder / "state"
        self.run_dir = self.folder / "run"
        self.bootstrap_file = self.folder / "fgfmd.conf"
        self.socket = self.run_dir / "fgfmd.sock"
        self.saved = self.state / "sys_config.conf"
        self.journal = self.state / "install.journal"
        self.process = None
        self._clock = FakeClock()
        self.settings = {
            "certificate": f'"{lab.pki}/{certificate}.pem"', "private-key": f'"{lab.pki}/{certificate}.key"',
            "ca-certificate": f'"{lab.pki}/ca.pem"', "state-directory": f'"{self.state}"',
            "run-directory": f'"{self.run_dir}"', "netns": f'"{lab.isolated_ns.name}"',
            "tun-device": '"fgfm0"', "apply-system": "disable"}
        for folder in (self.state, self.run_dir):
            folder.mkdir(parents=True, mode=0o700)
        self.configure()

    # files

    def set(self, **settings):
        """Options of `config agent`; underscores stand for dashes. None removes one."""
        for key, value in settings.items():
            self.settings[key.replace("_", "-")] = value
        self.settings = {k: v for k, v in self.settings.items() if v is not None}

    def write_bootstrap(self):
        lines = "".join(f"    set {key} {value}\n" for key, value in self.settings.items())
        self.bootstrap_file.write_text(f"config agent\n{lines}end\n")

    def configure(self, fmg=(MANAGER_IP,), central="", more="", base=DEVICE_CONFIG):
        """Write the device configuration. `central` are further lines of system central-management."""
        managers = " ".join(f'"{name}"' for name in fmg)
        dial = f"    set type fortimanager\n    set fmg {managers}\n" if fmg else ""
        self.saved.write_text(f"{base}{more}config system central-management\n{dial}{central}end\n")
        self.saved.chmod(0o600)

    # process

    def start(self, faketime=BRISK, prefix=(), level="255", inner=()):
        """Start it; `faketime` is a specification as for `faketime -f`, `prefix` words of a wrapper, `inner` those
        of one that has to start the agent itself."""
        self.write_bootstrap()
        faketime = self._clock.next(faketime)
        wrapper = ["faketime", "-f", faketime] if faketime else []
        words = [*self.lab.device_ns.enter(), "unshare", "--uts", *prefix, *wrapper,
                 *inner, FGFMD, "-c", self.bootstrap_file, "-f", "-d", level]
        self.process = Process(words, self.log_file)
        self.lab.stack.callback(self.process.destroy)
        self.process.find(FGFMD)
        return self

    @property
    def log_file(self):
        return self.folder / "fgfmd.log"

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def wait_log(self, pattern, timeout=10.0, start=0):
        """Wait until the log, from character `start` on, matches an expect pattern."""
        return poll(lambda: expect.search(pattern, self.log()[start:]), timeout, f"log line {pattern!r}")

    def wait_ready(self, timeout=5.0):
        """Until the control socket answers."""
        poll(lambda: self.ctl("get", "system", "status").returncode == 0, timeout, "the control socket")
        return self

    def stop(self, timeout=2.0):
        """SIGTERM; returns the exit status."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.wait(5)

    def restart(self, **options):
        """Kill -9 if it still runs, then start again on the same state."""
        if self.process and self.process.alive():
            self.kill()
        return self.start(**options)

    def check_files(self):
        """`fgfmd -t`."""
        self.write_bootstrap()
        return run(FGFMD, "-c", self.bootstrap_file, "-t", check=False)

    # tool

    def ctl(self, *words, json_output=False, stdin=None, timeout=20):
        command = [FGFMCTL, "--socket", self.socket, *(["--json"] if json_output else []), *words]
        return subprocess.run([str(w) for w in command], capture_output=True, text=True, check=False, input=stdin,
                              timeout=timeout)

    def ask(self, *words):
        """A command that has to succeed; returns its text."""
        done = self.ctl(*words)
        assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask_json(self, *words):
        done = self.ctl(*words, json_output=True)
        assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def script(self, text):
        """`fgfmctl -f` with this script."""
        path = self.folder / "script.txt"
        path.write_text(text)
        return self.ctl("-f", str(path))

    def status(self):
        """central-mgmt-status as JSON, or {} while nothing answers."""
        done = self.ctl("diagnose", "fdsm", "central-mgmt-status", json_output=True)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def wait_status(self, wanted, timeout=10.0):
        poll(lambda: expect.connection(self.status()) == wanted, timeout, f"connection status {wanted}", every=0.05)

    def install_state(self):
        done = self.ctl("diagnose", "fgfm", "install-session", json_output=True)
        return expect.install_state(json.loads(done.stdout)) if done.returncode == 0 else None

    def wait_install_state(self, *wanted, timeout=10.0):
        return poll(lambda: (lambda s: s if s in wanted else None)(self.install_state()), timeout,
                    f"install state {'|'.join(wanted)}")

    def trusted(self):
        """Serials of the trusted list on disk."""
        return expect.trusted_serials(self.state / "trust-list.json")

    def receipts(self):
        path = self.state / "receipts.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Lab:
    """Everything of one test. Use as a context manager; what it made is gone afterwards."""

    def __init__(self, pki):
        self.pki = pki
        self.stack = contextlib.ExitStack()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fgfmt-"))
        self.device_ns = Namespace(unique("fgd"))
        self.manager_ns = Namespace(unique("fgm"))
        self.isolated_ns = Namespace(unique("fgi"))
        self.managers = []
        self._agent = None

    def __enter__(self):
        # removal goes backwards: processes, then namespaces, then files
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.stack.callback(self.isolated_ns.delete)
        try:
            for namespace in (self.device_ns, self.manager_ns):
                self.stack.callback(namespace.delete)
                namespace.add()
            self._join()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_error):
        self.stack.close()

    def _join(self):
        run("ip", "link", "add", "wan1", "netns", self.device_ns.name, "type", "veth",
            "peer", "name", "eth0", "netns", self.manager_ns.name)
        for namespace, device, v4, v6 in ((self.device_ns, "wan1", DEVICE_IP, DEVICE_IP6),
                                          (self.manager_ns, "eth0", MANAGER_IP, MANAGER_IP6)):
            namespace.ip_batch("link set lo up", f"address add {v4}/24 dev {device}",
                               f"address add {v6}/64 dev {device} nodad", f"link set {device} up")

    def link(self, state):
        """Plug or unplug the cable, at the manager's end."""
        self.manager_ns.ip("link", "set", "eth0", state)

    def swallow(self, on):
        """Let the manager's packets to the device vanish without a trace."""
        self.manager_ns.ip("route", "replace" if on else "delete", "blackhole", f"{DEVICE_IP}/32")
        self.manager_ns.ip("route", "flush", "cache", check=False)

    @property
    def agent(self):
        if self._agent is None:
            assert os.path.exists(FGFMD), f"{FGFMD} does not exist: run make first"
            self._agent = Agent(self)
        return self._agent

    def manager(self, certificate="manager", *, serial=MANAGER_SERIAL, address=MANAGER_IP, address6=None, tun=True,
                register=True, behaviour=(), options=(), ca="ca"):
        """Start a lab manager that registers whoever comes, unless told otherwise."""
        name = f"fmg{len(self.managers) + 1}"
        words = ["--cert", f"{self.pki}/{certificate}.pem", "--key", f"{self.pki}/{certificate}.key",
                 "--ca", f"{self.pki}/{ca}.pem", "--serial", serial]
        words += ["--listen", address] if address else []
        words += ["--listen6", address6] if address6 else []
        words += ["--tun", f"tun{len(self.managers)}"] if tun else []
        words += ["--auto-register"] if register else []
        words += [word for setting in behaviour for word in ("--behaviour", setting)]
        manager = Manager(self, name, [*words, *options])
        self.managers.append(manager)
        self.stack.callback(manager.process.destroy)
        return manager

    def add_manager_address(self, address):
        self.manager_ns.ip("address", "add", f"{address}/24", "dev", "eth0")

    def connected(self, manager=None, **start_options):
        """The usual beginning: a manager, the agent, a registered session. Returns (manager, agent)."""
        manager = manager or self.manager()
        since = manager.mark()
        self.agent.start(**start_options)
        manager.ready(since=since)
        self.agent.wait_status(expect.UP)
        return manager, self.agent

    def small_state(self, size="512k"):
        """Put the agent's state directory onto a small tmpfs of its own; before the agent starts."""
        state = self.agent.state
        saved = self.agent.saved.read_bytes()
        run("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", unique("fgfmt"), state)
        self.stack.callback(run, "umount", "--lazy", state, check=False)
        self.agent.saved.write_bytes(saved)
        return state

    def fill(self, folder):
        """Use up a filesystem; returns the file to remove to make room again."""
        filler = pathlib.Path(folder) / "filler"
        with open(filler, "wb", buffering=0) as out:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        out.write(b"\0" * size)
        return filler

    def logs(self):
        """(title, text) of every log, for the report of a failed test."""
        rows = [(f"manager {m.client.path}", m.process.text()) for m in self.managers]
        return rows + ([("agent", self._agent.log())] if self._agent else [])


def with_boot_id(folder, boot_id):
    """Words that make a process see another boot id, and nothing else different.

    Only /proc is taken out of mount propagation: namespaces that the agent mounts still reach the host.
    """
    fake = pathlib.Path(folder) / "boot_id"
    fake.write_text(f"{boot_id}\n")
    script = ('mount --make-private /proc && mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"')
    return ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", script, fake]


def failing_syscall(folder, syscall, fault, number):
    """Words that make the agent's N-th system call of a kind fail; fault as for strace's inject."""
    return ["strace", "-qq", "-o", pathlib.Path(folder) / "strace.log", "-e", f"trace={syscall}",
            "-e", f"inject={syscall}:{fault}:when={number}"]


def timed(action):
    """Seconds that an action took."""
    start = time.monotonic()
    action()
    return time.monotonic() - start
