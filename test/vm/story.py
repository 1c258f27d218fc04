"""What happens inside the machine, told to the host line by line over the second serial port.

The device is the machine itself; the lab manager lives in a network namespace of its own at the other end of the
cable. The story goes on from boot to boot: the chapter to tell next is on the disk, written before the machine goes
down. While everybody waits, the machine's time jumps to the next timer, so nothing in here may be timed by the host.
"""

import hashlib
import json
import os
import pathlib
import re
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
UNIT = pathlib.Path("/fgfmd/unit")
ONLY = {"test_agent_apply_interface": ["vlans*"]}  # what any kernel shows takes too long here
RESOLV_CONF = pathlib.Path("/etc/resolv.conf")
MOVED_IP, HAND_MADE, ELSEWHERE = "192.168.49.81", "10.77.0.1/24", "192.168.50.81"
ROLLBACK, RETEST = 900, 300
HEX_SHORT = 12

# devices that are made for the configuration, what stands on them, and one whose name is somebody else's
LAN = """config system interface
    edit "vlan20"
        set interface "wan1"
        set vlanid 20
        set ip 10.20.0.1 255.255.255.0
        set secondary-IP enable
        config secondaryip
            edit 1
                set ip 10.21.0.1 255.255.255.0
            next
        end
        config ipv6
            set ip6-address fd48:20::1/64
        end
    next
    edit "lo9"
        set type loopback
        set ip 10.9.9.9 255.255.255.255
    next
    edit "guest"
        set interface "wan1"
        set vlanid 31
    next
end
config router static6
    edit 1
        set dst fd99::/32
        set gateway fd48:20::254
        set device "vlan20"
    next
end
config system dns
    set primary 192.0.2.53
end
"""
LAN_UNSET = """config router static6
    delete 1
end
config system interface
    delete "guest"
    delete "lo9"
    delete "vlan20"
end
config system dns
    unset primary
end
"""
# what `ip -d` and the file say then; the number marks the agent's own devices (tun/netlink.h)
MADE = ["vlan20: vlan 20 on wan1, group 26215, up: 10.20.0.1/24 10.21.0.1/24 fd48:20::1/64",
        "lo9: dummy, group 26215, up: 10.9.9.9/32",
        "fd99::/32 via fd48:20::254 dev vlan20",
        "nameserver 192.0.2.53"]
NOT_MADE = ["vlan20: no such device", "lo9: no such device", "nameserver 203.0.113.9"]
FOREIGN = "guest: vlan 30 on wan1, group default, down:"


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


def device(name):
    """A device in one line, as `ip -d` shows it."""
    done = run("ip", "-d", "-j", "address", "show", "dev", name, check=False)
    if done.returncode:
        return f"{name}: no such device"
    link = next(row for row in json.loads(done.stdout) if row)
    kind, data = link["linkinfo"]["info_kind"], link["linkinfo"].get("info_data", {})
    what = f"vlan {data['id']} on {link['link']}" if kind == "vlan" else kind
    addresses = sorted(f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] == "global")
    state = "up" if "UP" in link["flags"] else "down"
    return " ".join([f"{name}: {what}, group {link['group']}, {state}:", *addresses])


def made():
    """All that LAN makes, or what is there instead."""
    routes = run("ip", "-6", "route", "show", "fd99::/32").stdout.splitlines()
    return [device("vlan20"), device("lo9"), *(route.split(" proto ")[0] for route in routes),
            *(line for line in RESOLV_CONF.read_text().splitlines() if line.startswith("nameserver"))]


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


def test_units(teller):
    """What is skipped, or played with stand-ins, where the kernel has no VLANs and no dummies."""
    check(not pathlib.Path("/sys/module/macvlan").exists(), "nothing can stand in for a VLAN")
    for program in sorted(UNIT.iterdir()):
        done = run(program, *ONLY.get(program.name, ()), check=False)
        said = done.stdout + done.stderr
        passed = re.search(r"\[  PASSED  \] (\d+) test", said)
        check(done.returncode == 0 and passed and "SKIPPED" not in said, f"{program.name} passes\n{said}")
        teller.step(f"{program.name}, on a kernel with VLANs and dummies: {passed[1]} passed, none skipped.",
                    *re.findall(r"\[       OK \] (\w+)", said))


def make_devices(teller, box, manager):
    """VLAN and loopback are made, taken back, made again and kept; a foreign VLAN is left alone."""
    run("ip", "link", "add", "link", "wan1", "name", "guest", "type", "vlan", "id", "30")
    RESOLV_CONF.write_text("nameserver 203.0.113.9\n")
    check(made() == NOT_MADE and device("guest") == FOREIGN, f"the beginning: {made()}, {device('guest')}")
    teller.step("Somebody makes a VLAN by hand and calls it guest.", device("guest"))
    saved = digest(SAVED)
    manager.behave("auth.answer=off")
    manager.install("vm-lan-1", LAN, "")
    box.wait_state(expect.TESTING, 60, every=0.2)
    check(made() == MADE, f"what vm-lan-1 makes: {made()}")
    teller.step("The manager installs vm-lan-1, without an unset script, and admits no fresh session.", *made())
    box.ask("execute", "fgfm", "install", "revert")
    box.wait_state(expect.RETESTING, 60, every=0.2)
    check(made() == NOT_MADE and device("guest") == FOREIGN, f"everything is as before: {made()}, {device('guest')}")
    check(digest(SAVED) == saved, "the saved file is as it was")
    manager.well_behaved()
    box.wait_state(expect.IDLE, RETEST, every=1)
    verdict = manager.verdict("vm-lan-1", 60)[0]
    check(verdict == "rolled-back", f"vm-lan-1 is rolled back: {verdict}")
    teller.step("An operator says execute fgfm install revert.", *made(), device("guest"))
    script = LAN.replace("vlanid 20\n", 'vlanid 20\nset alias "lan"\n')
    verdict = manager.install_and_wait("vm-lan-2", script, LAN_UNSET, 60)
    failed = [line for line in manager.result_lines("vm-lan-2") if line[0]]
    check(verdict[0] == "committed" and failed == [(-7, "next")], f"one conflict alone: {verdict}, {failed}")
    check(made() == MADE and device("guest") == FOREIGN, f"what vm-lan-2 makes: {made()}, {device('guest')}")
    teller.step("vm-lan-2, the same and an alias, is committed. The name guest was a conflict: -7, and nothing of it.",
                *made(), device("guest"))


def check_made_again(teller, box):
    """After a boot: what was committed, and nothing that was made by hand."""
    poll(lambda: made() == MADE, 30, "all that vm-lan-2 made", every=0.2)
    differences = box.ask("diagnose", "fgfm", "drift")
    check("vlan20" not in differences and "lo9" not in differences, f"no drift: {differences}")
    check(device("guest") == "guest: no such device", "the VLAN made by hand is gone")
    teller.step("What vm-lan-2 made is there again.", *made())


def cut_off_for_good(teller, page, box):
    """An install that cuts the device off, and a manager that stays away after the rollback."""
    teller.step(f"The machine booted: Linux {os.uname().release}, boot id {boot_id()}.")
    manager = come_up(teller, box)
    make_devices(teller, box, manager)
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
    check_made_again(teller, box)
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
    check_made_again(teller, box)
    receipt = manager.receipt(before["install"], timeout=120)
    check(expect.verdict(receipt) == "power-lost", f"the receipt says power-lost: {receipt}")
    teller.step("The manager has the receipt.", f"{before['install']}: {receipt['verdict']}: {receipt['cause']}")
    check(digest(SAVED) == before["saved"], "the saved file is as it was")
    check(not JOURNAL.exists() and box.install_state() == expect.IDLE, "no journal, nothing pending")
    record = json.loads((STATE / "reboots.json").read_text())
    check(len(record["reboots"]) == 1, f"a power cut counts as no reboot: {record}")
    check(manager.errors() == [], f"the manager has nothing against the agent: {manager.errors()}")
    teller.step("Saved file, memory and system agree; the journal is gone; the record of reboots is as it was.")
    # last: after so many programs qemu needed minutes for the reboot
    test_units(teller)


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
