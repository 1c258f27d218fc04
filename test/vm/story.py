"""What happens inside the machine, told to the host line by line over the second serial port.

The device is the machine itself; the lab manager lives in a network namespace of its own at the other end of the
cable. The story goes on from boot to boot: the chapter to tell next is on the disk, written before the machine goes
down. While everybody waits, the machine's time jumps to the next timer, so nothing in here may be timed by the host.
"""

import hashlib
import json
import os
import pathlib
import sys
import time
import traceback
import types

sys.dont_write_bytecode = True
os.environ["FGFMD"], os.environ["FGFMCTL"] = "/fgfmd/fgfmd", "/fgfmd/fgfmctl"
sys.path.insert(0, "/fgfmd/test/netns")

import expect  # noqa: E402
from harness import (DEVICE_IP, FGFMCTL, FGFMD, GUIDE_SET, GUIDE_UNSET, MANAGER_IP, MANAGER_SERIAL,  # noqa: E402
                     Manager, move_wan1)
from netns import Namespace, Process, poll, run  # noqa: E402

STATE = pathlib.Path("/var/lib/fgfmd")
SAVED, JOURNAL = STATE / "sys_config.conf", STATE / "install.journal"
BOOTSTRAP = "/etc/fgfmd/fgfmd.conf"
PAGE = pathlib.Path("/var/story.json")
PKI = "/fgfmd/pki"
MOVED_IP, HAND_MADE, ELSEWHERE = "192.168.49.81", "10.77.0.1/24", "192.168.50.81"
ROLLBACK, RETEST = 900, 300
HEX_SHORT = 12


def uptime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id():
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:HEX_SHORT]


def check(happened, what):
    if not happened:
        raise AssertionError(f"this did not happen: {what}")


class Teller:
    """The line to the host: JSON objects, one a line."""

    def __init__(self, path="/dev/ttyS1"):
        self._line = open(path, "w", encoding="utf-8")  # noqa: SIM115: open as long as the machine runs

    def tell(self, **what):
        self._line.write(json.dumps({"uptime": round(uptime(), 1), **what}) + "\n")
        self._line.flush()

    def step(self, text, *shown):
        self.tell(step=text, show=[line for text in shown for line in text.splitlines()])


class Page:
    """Where the story is, and what was so when the machine went down. On the disk before anything depends on it."""

    def __init__(self):
        self.facts = json.loads(PAGE.read_text()) if PAGE.exists() else {"chapter": 0}

    def turn(self, **facts):
        self.facts.update(facts, chapter=self.facts["chapter"] + 1, boot_id=boot_id(), saved=digest(SAVED))
        with open(PAGE, "w", encoding="utf-8") as out:
            json.dump(self.facts, out)
            out.flush()
            os.fsync(out.fileno())
        os.sync()


class Box:
    """The device: this machine. The manager's namespace is at the other end of wan1."""

    def __init__(self):
        self.manager_ns = Namespace("manager").create()
        self.folder = pathlib.Path("/tmp")
        self.process = None
        self.manager = None
        run("ip", "link", "add", "wan1", "type", "veth", "peer", "name", "eth0", "netns", "manager")
        self.manager_ns.ip("address", "add", f"{MANAGER_IP}/24", "dev", "eth0")
        self.manager_ns.ip("link", "set", "eth0", "up")

    def start_manager(self):
        words = ["--cert", f"{PKI}/manager.pem", "--key", f"{PKI}/manager.key", "--ca", f"{PKI}/ca.pem", "--serial",
                 MANAGER_SERIAL, "--listen", MANAGER_IP, "--tun", "fmg0", "--auto-register"]
        self.manager = Manager(types.SimpleNamespace(folder=self.folder, manager_ns=self.manager_ns), "fmg", words)
        return self.manager

    def switch_manager_off(self):
        """Nobody answers at its address any more."""
        self.manager.process.destroy()
        self.manager_ns.ip("address", "delete", f"{MANAGER_IP}/24", "dev", "eth0")

    def start_agent(self):
        self.process = Process([FGFMD, "-c", BOOTSTRAP, "-f", "-d", "31"], "/var/log/fgfmd.log")
        self.process.find(FGFMD, timeout=60)
        poll(lambda: run(FGFMCTL, "get", "system", "status", check=False).returncode == 0, 60, "the control socket",
             every=0.2)

    def addresses(self):
        done = json.loads(run("ip", "-4", "-j", "address", "show", "dev", "wan1").stdout)
        return {f"{a['local']}/{a['prefixlen']}" for link in done for a in link.get("addr_info", [])}

    @staticmethod
    def ask(*words):
        return run(FGFMCTL, *words).stdout

    def install_state(self):
        return expect.install_state(json.loads(run(FGFMCTL, "--json", "diagnose", "fgfm", "install-session").stdout))

    def wait_state(self, wanted, timeout, every):
        """The state, and the uptime when it was seen."""
        poll(lambda: self.install_state() == wanted, timeout, f"install state {wanted}", every)
        return uptime()

    def logs(self):
        """The ends of both logs, for the report of a failure."""
        texts = [self.process.text() if self.process else "", self.manager.process.text() if self.manager else ""]
        return [line for text in texts for line in text[-4000:].splitlines()]


def wan1(box):
    return "wan1: " + (" ".join(sorted(box.addresses())) or "no address")


def status_lines(box, *labels):
    said = expect.labelled(box.ask("get", "system", "status"))
    return "\n".join(f"{label}: {said.get(label)}" for label in labels)


# --- chapters

def come_up(teller, box):
    """Cable, manager, agent. Returns the manager once the device is registered with it."""
    manager = box.start_manager()
    box.start_agent()
    poll(lambda: f"{DEVICE_IP}/24" in box.addresses(), 60, "the saved address on wan1", every=0.2)
    teller.step("fgfmd runs; the saved configuration gave wan1 its address.", wan1(box))
    manager.ready(timeout=300)
    teller.step(f"The session with {MANAGER_SERIAL} is up and registered.")
    return manager


def cut_off_for_good(teller, page, box):
    """An install that cuts the device off, and a manager that stays away after the rollback."""
    teller.step(f"The machine booted: Linux {os.uname().release}, boot id {boot_id()}.")
    manager = come_up(teller, box)
    saved = digest(SAVED)
    run("ip", "address", "add", HAND_MADE, "dev", "wan1")
    teller.step(f"Somebody adds {HAND_MADE} to wan1 by hand.", wan1(box))
    began = uptime()
    manager.install("vm-1", GUIDE_SET, GUIDE_UNSET, allow_reboot=True)
    box.wait_state(expect.TESTING, 60, every=0.2)
    check(box.addresses() == {f"{MOVED_IP}/24", HAND_MADE}, f"wan1 moved to {MOVED_IP}")
    box.switch_manager_off()
    teller.step("The manager installs vm-1, which moves wan1 and cuts the device off, and is then switched off itself.",
                wan1(box), box.ask("diagnose", "fgfm", "install-session"))
    # written now: nobody knows the moment of the reboot beforehand
    page.turn(install="vm-1")
    ended = box.wait_state(expect.RETESTING, ROLLBACK + RETEST, every=20)
    check(ended - began >= ROLLBACK, f"the agent waited {ROLLBACK} seconds before it rolled back")
    poll(lambda: box.addresses() == {f"{DEVICE_IP}/24", HAND_MADE}, 30, "wan1 as before and as changed by hand", 0.5)
    check(digest(SAVED) == saved, "the saved file is as it was")
    teller.step(f"{ended - began:.0f} seconds later it has rolled back; what was added by hand is still there.",
                wan1(box))
    teller.step(f"The manager is still off. After {RETEST} more seconds the agent may reboot.",
                box.ask("diagnose", "fgfm", "install-session"))
    time.sleep(2 * RETEST)
    raise AssertionError("the machine still runs: it was not rebooted")


def rebooted(teller, page, box):
    """Up again after the agent's reboot."""
    before = page.facts
    check(boot_id() != before["boot_id"], "another boot id")
    check(box.addresses() == set(), "wan1 begins without an address")
    teller.step(f"The machine booted again, boot id {boot_id()}.", wan1(box))
    manager = come_up(teller, box)
    check(box.addresses() == {f"{DEVICE_IP}/24"}, f"wan1 has {DEVICE_IP} alone: what was added by hand is lost")
    receipt = manager.receipt(before["install"], timeout=120)
    check(expect.verdict(receipt) == "rebooted", f"the receipt says rebooted: {receipt}")
    teller.step("The manager has the receipt.", f"{before['install']}: {receipt['verdict']}: {receipt['cause']}")
    check(digest(SAVED) == before["saved"], "the saved file is as it was")
    check(f"set ip {DEVICE_IP} 255.255.255.0" in box.ask("show", "system", "interface"), "memory says the same")
    check(not JOURNAL.exists() and box.install_state() == expect.IDLE, "no journal, nothing pending")
    teller.step(f"Saved file (sha256 {before['saved']}...), memory and system agree; the journal is gone.")
    reason = status_lines(box, "Last reboot reason")
    check("vm-1" in reason, f"get system status gives the reason: {reason}")
    teller.step("get system status:", reason)
    record = json.loads((STATE / "reboots.json").read_text())
    check(len(record["reboots"]) == 1 and record["reboots"][0]["at"] >= ROLLBACK + RETEST,
          f"one reboot is on record, at the uptime it was: {record}")
    teller.step("One reboot is on the record; three within 24 hours of uptime are the most.", json.dumps(record))
    lose_power(teller, page, box, manager)


def lose_power(teller, page, box, manager):
    """Another install that cuts the device off; the host pulls the plug while it is on trial."""
    refused = manager.install_and_wait("vm-1-again", GUIDE_SET, GUIDE_UNSET, timeout=60)
    check(refused[0] == "refused", f"the same install is not tried again: {refused}")
    teller.step("The manager sends the same install again; it is refused.", refused[1])
    manager.install("vm-2", move_wan1(ELSEWHERE), move_wan1(DEVICE_IP))
    box.wait_state(expect.TESTING, 60, every=0.2)
    check(box.addresses() == {f"{ELSEWHERE}/24"}, f"wan1 moved to {ELSEWHERE}")
    page.turn(install="vm-2")
    teller.step("Another install, vm-2, moves wan1, and is on trial. Now the power fails.", wan1(box),
                box.ask("diagnose", "fgfm", "install-session"))
    teller.tell(cut=True)
    while True:  # sleeping would let the machine's time run on until the host acts
        pass


def power_lost(teller, page, box):
    """Up again after the power cut."""
    before = page.facts
    check(boot_id() != before["boot_id"], "another boot id")
    check(JOURNAL.exists(), "the journal of the install outlived the power cut")
    teller.step(f"Power is back, boot id {boot_id()}; the journal of vm-2 is on the disk.", wan1(box))
    manager = come_up(teller, box)
    check(box.addresses() == {f"{DEVICE_IP}/24"}, f"wan1 has {DEVICE_IP} alone")
    receipt = manager.receipt(before["install"], timeout=120)
    check(expect.verdict(receipt) == "power-lost", f"the receipt says power-lost: {receipt}")
    teller.step("The manager has the receipt.", f"{before['install']}: {receipt['verdict']}: {receipt['cause']}")
    check(digest(SAVED) == before["saved"], "the saved file is as it was")
    check(not JOURNAL.exists() and box.install_state() == expect.IDLE, "no journal, nothing pending")
    record = json.loads((STATE / "reboots.json").read_text())
    check(len(record["reboots"]) == 1, f"a power cut counts as no reboot: {record}")
    check(manager.errors() == [], f"the manager has nothing against the agent: {manager.errors()}")
    teller.step("Saved file, memory and system agree; the journal is gone; the record of reboots is as it was.")


CHAPTERS = (cut_off_for_good, rebooted, power_lost)


def main():
    teller, page, logs = Teller(), Page(), list
    try:
        box = Box()
        logs = box.logs
        CHAPTERS[page.facts["chapter"]](teller, page, box)
        teller.tell(done=True)
    except Exception as error:  # whatever it is, the host has to hear of it
        teller.tell(failed=str(error), show=[*traceback.format_exc().splitlines(), *logs()])


if __name__ == "__main__":
    main()
