"""One measurement each: throughput, round trip, processor time, memory, numbered packets."""

import json
import os
import pathlib
import re
import subprocess
import time

from harness import MANAGER_IP
from netns import poll, run
from tunnels import PROGRAMS

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def line(name, value, unit, goal):
    """One figure, with the goal beside it."""
    print(f"{name:44} {value:>10} {unit:8} goal: {goal}", flush=True)


def cpu_seconds(pid):
    """(in the program, in the kernel for it)."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / CLOCK_TICKS, int(fields[12]) / CLOCK_TICKS


def foreign_share(seconds=0.5):
    """Share of this machine in use while nothing of ours runs: what the figures have to be read with."""
    def busy_and_all():
        fields = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields) - fields[3] - fields[4], sum(fields)
    before = busy_and_all()
    time.sleep(seconds)
    after = busy_and_all()
    return (after[0] - before[0]) / max(after[1] - before[1], 1)


def memory_kb(pid, key):
    """VmHWM is the most that was resident at any time, VmRSS what is now."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def ping_us(tunnel, count, interval):
    """Mean round trip."""
    done = tunnel.near.run("ping", "-q", "-c", count, "-i", interval, tunnel.far_ip, check=False)
    found = re.search(r"= [\d.]+/([\d.]+)/", done.stdout)
    return float(found.group(1)) * 1000 if found else None


def wake_ups_us(count, interval):
    """Mean time of four processes to wake each other in turn, as those of a round trip through a tunnel do."""
    return json.loads(run(PROGRAMS / "traffic", "wake", count, int(interval * 1e6)).stdout)["us"]


class Pinging:
    """A ping beside something else."""

    def __init__(self, tunnel, seconds):
        words = [*tunnel.near.enter(), "ping", "-q", "-i", "0.02", "-w", str(max(1, int(seconds))), tunnel.far_ip]
        self._popen = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def mean_us(self):
        text = self._popen.communicate(timeout=60)[0]
        found = re.search(r"= [\d.]+/([\d.]+)/", text)
        return float(found.group(1)) * 1000 if found else None


def _iperf(tunnel, words):
    """iperf3's report. Its server refuses a test while it still puts the one before away: then once more."""
    for _ in range(3):
        done = tunnel.near.run("iperf3", "-c", tunnel.far_ip, "-J", *words, check=False)
        report = json.loads(done.stdout)
        if "sum_received" in report.get("end", {}):
            return report["end"]
        time.sleep(1)
    raise AssertionError(f"{tunnel.name}: iperf3: {report.get('error', done.stdout[-300:])}")


def tcp(tunnel, *, up, streams, seconds, ping=False):
    """iperf3's throughput, retransmissions, and what the device's end spent on it."""
    pinging = Pinging(tunnel, seconds) if ping else None
    before = cpu_seconds(tunnel.pid)
    end = _iperf(tunnel, ["-t", seconds, "-P", streams, *([] if up else ["-R"])])
    after = cpu_seconds(tunnel.pid)
    user, system = after[0] - before[0], after[1] - before[1]
    gigabytes = end["sum_sent"]["bytes"] / 1e9
    return {"mbit": end["sum_received"]["bits_per_second"] / 1e6,
            "retransmits": end["sum_sent"].get("retransmits", 0),
            "loaded_us": pinging.mean_us() if pinging else None,
            "user_per_gb": user / gigabytes, "system_per_gb": system / gigabytes,
            "core_per_gbit": (user + system) / (gigabytes * 8)}


def udp(bench, tunnel, *, up, size, seconds, flows=4, rate=0):
    """Numbered packets: how many came, lost, out of order inside their flow."""
    source, sink = (tunnel.near, tunnel.far) if up else (tunnel.far, tunnel.near)
    target = tunnel.far_ip if up else tunnel.near_ip
    log = bench.lab.folder / "udp-recv.log"
    log.unlink(missing_ok=True)
    receiver = bench.start_and_wait(sink, "udp-recv", "listening", PROGRAMS / "traffic", "udp-recv", "7007", flows)
    sender = json.loads(source.run(PROGRAMS / "traffic", "udp-send", target, "7007", size, seconds, flows, rate).stdout)
    try:
        receiver.wait(10)
        got = json.loads(receiver.text().splitlines()[-1])
    finally:
        receiver.destroy()
    spent = max(got["seconds"], 0.001)
    return {"mbit": got["bytes"] * 8 / 1e6 / spent, "kpps": got["received"] / spent / 1000, "sent": sender["sent"],
            "lost": sender["sent"] - got["received"], "behind": got["behind"], "foreign": got["foreign"]}


def bare(bench, *, up, seconds):
    """What the same mbedTLS moves without a tunnel around it; the server is there since start_bare()."""
    done = bench.lab.device_ns.run(PROGRAMS / "bare", "connect", MANAGER_IP, "7008", "up" if up else "down", seconds)
    return json.loads(done.stdout)


def start_bare(bench):
    pki = bench.lab.pki
    bench.start_and_wait(bench.lab.manager_ns, "bare", "listening", PROGRAMS / "bare", "serve", MANAGER_IP, "7008",
                         f"{pki}/manager.pem", f"{pki}/manager.key")


def profile(tunnel, up, seconds, data):
    """Where the device's end spends its time under load: rows of 'share symbol', or why there are none."""
    if run("sh", "-c", "command -v perf", check=False).returncode:
        return ["no profile: perf is not installed (Debian: linux-perf)"]
    with subprocess.Popen([str(w) for w in [*tunnel.near.enter(), "iperf3", "-c", tunnel.far_ip, "-t", seconds,
                                            *([] if up else ["-R"])]], stdout=subprocess.DEVNULL):
        run("perf", "record", "-q", "-e", "cpu-clock", "-o", data, "-p", tunnel.pid, "--", "sleep", seconds - 1,
            check=False)
    report = run("perf", "report", "-i", data, "--stdio", "--percent-limit", "2", "--sort", "dso,symbol",
                 "-F", "overhead,dso,symbol", check=False)
    rows = [row.split() for row in report.stdout.splitlines() if row.strip() and not row.startswith("#")]
    rows.sort(key=lambda row: -float(row[0].rstrip("%")))
    if not rows:
        return ["no profile: perf saw nothing"]
    return [f"{row[0]:>7}  {row[1]:28} {' '.join(row[3:]).removesuffix(' - -')}" for row in rows[:14]]


def wait_idle(tunnel):
    """Until what was under way has drained."""
    def quiet():
        before = cpu_seconds(tunnel.pid)
        time.sleep(0.2)
        return cpu_seconds(tunnel.pid) == before
    poll(quiet, 20, f"{tunnel.name} to be idle")
