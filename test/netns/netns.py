"""Network namespaces, links and processes of one test, and their removal.

Names carry the process id and a random part, so runs beside each other do not meet. Processes are ended by
the id they were started with, or found as its descendants; nothing is ever looked up by name.
"""

import contextlib
import json
import os
import pathlib
import secrets
import signal
import subprocess
import time

PYTHON = "/usr/bin/python3"
ECHO = pathlib.Path(__file__).resolve().parent / "echo.py"


class Ended(AssertionError):
    """A process ended that should run."""


class Timeout(AssertionError):
    """A condition did not come true in time."""


def poll(condition, timeout, what, every=0.02):
    """The first true value of condition(); Timeout names `what` otherwise."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"{what}: not within {timeout} s")
        time.sleep(every)


def run(*words, check=True, **options):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, timeout=60,
                          **options)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def unique(prefix):
    return f"{prefix}-{os.getpid():x}-{secrets.token_hex(3)}"


class Namespace:
    """One named network namespace."""

    def __init__(self, name):
        self.name = name
        self.path = f"/run/netns/{name}"

    def add(self):
        """As the kernel makes it: even `lo` is down."""
        run("ip", "netns", "add", self.name)

    def create(self):
        self.add()
        self.ip("link", "set", "lo", "up")
        return self

    def exists(self):
        return os.path.exists(self.path)

    def delete(self):
        """Remove it; gone already is fine, for the agent may have made or removed it itself."""
        run("ip", "netns", "delete", self.name, check=False)

    def enter(self):
        """Words to put before a command. Not `ip netns exec`: that would hide mounts from the host."""
        return ["nsenter", f"--net={self.path}"]

    def run(self, *words, **options):
        return run(*self.enter(), *words, **options)

    def ip(self, *words, **options):
        return run("ip", "-n", self.name, *words, **options)

    def ip_batch(self, *commands):
        """Several at once: starting a program takes longer than most of them."""
        return run("ip", "-n", self.name, "-batch", "-", input="".join(f"{command}\n" for command in commands))

    def addresses(self, device):
        """'ADDRESS/LENGTH' of a device, without link-local IPv6; empty if there is no such device."""
        done = self.ip("-j", "address", "show", "dev", device, check=False)
        links = json.loads(done.stdout or "[]") if done.returncode == 0 else []
        return {f"{a['local']}/{a['prefixlen']}" for link in links for a in link.get("addr_info", [])
                if a["scope"] != "link" or a["family"] == "inet"}

    def routes(self, family="-4"):
        return self.ip(family, "route", "show").stdout.splitlines()

    def pings(self, address):
        """One echo request; True if it is answered within a second."""
        return self.run(PYTHON, ECHO, address, check=False).returncode == 0


def parent_of(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


def descendants(pid):
    """Ids of all processes below pid, nearest first."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            children.setdefault(parent_of(entry), []).append(int(entry))
    found, wave = [], [pid]
    while wave:
        wave = [child for one in wave for child in children.get(one, [])]
        found += wave
    return found


def runs_program(pid, program):
    """Is pid a process of this program file (binary or script)?"""
    try:
        # by the file itself: its path may look different from another mount namespace
        if os.path.samefile(f"/proc/{pid}/exe", program):
            return True
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return len(words) > 1 and words[1] == str(program).encode()


def memory(pid):
    """What /proc/PID/smaps_rollup says, in kB: Rss, Pss, Private_Dirty and so on."""
    rows = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value.split()[0]) for name, value in (row.split(":", 1) for row in rows)}


class Process:
    """A process of the test in a session of its own, its output in a file."""

    def __init__(self, words, log):
        self.log = pathlib.Path(log)
        with open(log, "ab") as output:
            self._popen = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=output,
                                           stderr=subprocess.STDOUT, start_new_session=True)
        self.root = self._popen.pid
        self.program_pid = None

    def find(self, program, timeout=5):
        """Wait for the process of `program` at or below what was started (a wrapper may stay its parent)."""
        def look():
            if self._popen.poll() is not None:
                raise Ended(f"{program} ended with {self._popen.returncode}:\n{self.text()[-3000:]}")
            return next((p for p in [self.root, *descendants(self.root)] if runs_program(p, program)), None)
        self.program_pid = poll(look, timeout, f"{program} to run")
        return self.program_pid

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def alive(self):
        return self._popen.poll() is None

    def signal(self, number):
        """Signal the program itself, not its wrapper."""
        os.kill(self.program_pid or self.root, number)

    def wait(self, timeout):
        """Exit status of what was started."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Timeout(f"process {self.root} did not end within {timeout} s") from None

    def destroy(self):
        """End everything that was started, gently first."""
        family = [*reversed(descendants(self.root)), self.root]
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGTERM)
            with contextlib.suppress(Timeout):
                self.wait(3)
        for pid in family:
            # only those still in the session that was made for them: ids are reused
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == self.root:
                    os.kill(pid, signal.SIGKILL)
        self.wait(5)
