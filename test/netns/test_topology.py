"""The guide's topologies end to end: who dials whom, through which translation, and that installs and their rollback
work in each. Plus two managers, one of which takes over.
"""

import json

import pytest

import expect
from harness import (DEVICE_CONFIG, DEVICE_IP, DEVICE_IP6, FAST, HARMLESS_SET, HARMLESS_UNSET, MANAGER_IP, MANAGER_IP6,
                     MANAGER_SERIAL, move_wan1, real)
from netns import Namespace, poll, run, unique
from test_listen import dial, listen_only, listed, wait_listening

INSIDE_DEVICE, INSIDE_GATE, OUTSIDE_GATE, OUTSIDE_MANAGER = "10.1.0.2", "10.1.0.1", "203.0.113.1", "203.0.113.46"

LAN1 = (f'config system interface\n    edit "lan1"\n        set vdom "root"\n        set ip {INSIDE_DEVICE} '
        "255.255.255.0\n        set allowaccess ping fgfm\n        set type physical\n    next\nend\n"
        "config router static\n    edit 2\n        set dst 203.0.113.0 255.255.255.0\n"
        f'        set gateway {INSIDE_GATE}\n        set device "lan1"\n    next\nend\n')
SECOND = ("manager-02", "FMG-VM0000000002", "192.168.48.47")


class Gate:
    """A router between a second interface of the device and one of the manager's, which translates addresses.

        lan1 10.1.0.2  device  <-->  gate  <-->  manager  203.0.113.46 eth1
    """

    def __init__(self, lab):
        self.ns = Namespace(unique("fgg"))
        lab.stack.callback(self.ns.delete)
        self.ns.create()
        for host, device, address, gate, gate_address in (
                (lab.device_ns, "lan1", INSIDE_DEVICE, "in", INSIDE_GATE),
                (lab.manager_ns, "eth1", OUTSIDE_MANAGER, "out", OUTSIDE_GATE)):
            run("ip", "link", "add", device, "netns", host.name, "type", "veth", "peer", "name", gate,
                "netns", self.ns.name)
            host.ip("address", "add", f"{address}/24", "dev", device)
            host.ip("link", "set", device, "up")
            self.ns.ip("address", "add", f"{gate_address}/24", "dev", gate)
            self.ns.ip("link", "set", gate, "up")
        self.ns.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.ns.run("nft", "add table ip nat; add chain ip nat pre { type nat hook prerouting priority -100; }; "
                           "add chain ip nat post { type nat hook postrouting priority 100; }")

    def hide_device(self):
        self.ns.run("nft", 'add rule ip nat post oifname "out" masquerade')

    def hide_manager(self):
        self.ns.run("nft", 'add rule ip nat post oifname "in" masquerade')

    def virtual_ip(self, side, port, address):
        """What comes in from that side for the port goes to `address`."""
        self.ns.run("nft", f'add rule ip nat pre iifname "{side}" tcp dport {port} dnat to {address}:541')


def routed(lab, fmg):
    """Device configuration with lan1; the direct cable is cut."""
    lab.link("down")
    lab.agent.configure(fmg=fmg, more=LAN1, central="" if fmg else "    set type fortimanager\n")
    return Gate(lab)


def proves_itself(manager, agent, again=None):
    """An install is committed. `again`: how the manager comes for the test, where it dials."""
    mark = manager.mark()
    manager.install("good", HARMLESS_SET, HARMLESS_UNSET)
    if again:
        manager.wait("session_closed", since=mark, timeout=20)
        again()
    assert manager.verdict("good", 30, mark)[0] == "committed"
    assert 'hostname "renamed"' in agent.saved.read_text()
    assert manager.errors() == []


def test_device_behind_nat(lab):
    """Scenario 2: the device dials through a translating router; the manager sees it by the declared address."""
    gate = routed(lab, [OUTSIDE_MANAGER])
    gate.hide_device()
    manager, agent = lab.connected(lab.manager(address=OUTSIDE_MANAGER))
    first = manager.wait("get_ip")
    assert first["nat"] and first["keys"]["fg_ip"] == INSIDE_DEVICE and first["keys"]["intf"] == "lan1"
    assert manager.sessions()[0]["peer"].startswith(OUTSIDE_GATE)
    proves_itself(manager, agent)


def test_manager_behind_a_virtual_ip(lab):
    """Scenario 5, first form: a virtual address maps to the manager, and the device is translated as well."""
    gate = routed(lab, [INSIDE_GATE])
    gate.hide_device()
    gate.virtual_ip("in", 541, OUTSIDE_MANAGER)
    manager, agent = lab.connected(lab.manager(address=OUTSIDE_MANAGER))
    assert agent.status()["manager-address"] == INSIDE_GATE
    proves_itself(manager, agent)


def registered_by_operator(agent):
    agent.ask("execute", "central-mgmt", "register-device", MANAGER_SERIAL, "pass")


def test_manager_behind_nat(lab):
    """Scenario 1: only the manager can dial; installs and their test work, for it comes again."""
    gate = routed(lab, [])
    gate.hide_manager()
    lab.manager_ns.ip("route", "add", "10.1.0.0/24", "via", OUTSIDE_GATE)
    lab.agent.set(listen="enable")
    manager = lab.manager(address=OUTSIDE_MANAGER)
    agent = lab.agent.start(faketime=FAST).wait_ready()
    registered_by_operator(agent)
    dial(lab, manager, INSIDE_DEVICE)
    manager.ready()
    assert agent.status()["manager-address"] == INSIDE_GATE, "the address of the router"
    proves_itself(manager, agent, lambda: dial(lab, manager, INSIDE_DEVICE))


def test_device_behind_a_virtual_ip(lab):
    """Scenario 5, second form: the manager dials a virtual address that maps to the device."""
    gate = routed(lab, [])
    gate.hide_manager()
    gate.virtual_ip("out", 5410, INSIDE_DEVICE)
    lab.agent.set(listen="enable")
    manager = lab.manager(address=OUTSIDE_MANAGER)
    agent = lab.agent.start(faketime=FAST).wait_ready()
    registered_by_operator(agent)
    dial(lab, manager, OUTSIDE_GATE, 5410)
    manager.ready()
    assert manager.wait("get_ip")["keys"]["fg_ip"] == INSIDE_DEVICE
    proves_itself(manager, agent, lambda: dial(lab, manager, OUTSIDE_GATE, 5410))


def test_stranger_behind_the_same_router(lab):
    """What comes from the manager's public address is not the manager for that."""
    gate = routed(lab, [])
    gate.hide_manager()
    gate.virtual_ip("out", 5410, INSIDE_DEVICE)
    lab.agent.set(listen="enable")
    manager = lab.manager(address=OUTSIDE_MANAGER)
    agent = lab.agent.start().wait_ready()
    registered_by_operator(agent)
    dial(lab, manager, OUTSIDE_GATE, 5410)
    manager.ready()
    manager.use_certificate(lab.pki, "manager-02", "FMG-VM0000000002")
    mark = manager.mark()
    dial(lab, manager, OUTSIDE_GATE, 5410)
    manager.wait("session_closed", since=mark)
    agent.wait_log(expect.log("not in list", sn="FMG-VM0000000002"))
    assert expect.connection(agent.status()) == expect.UP


def test_both_public_over_ipv6(lab):
    """Scenario 3 over IPv6: install, test and commit."""
    lab.agent.configure(fmg=[MANAGER_IP6])
    manager, agent = lab.connected(lab.manager(address=None, address6=MANAGER_IP6))
    assert manager.wait("get_auth")["keys"]["fg_ip"] == DEVICE_IP6
    proves_itself(manager, agent)


# installs of a manager that dials

def test_rollback_when_the_manager_cannot_come_again(lab):
    """The guide's install, from a manager that dials: the address is gone, nobody comes for 900 seconds, it is undone,
    and the manager's next session brings it the receipt."""
    manager, agent = listed(lab)
    agent.stop()
    agent.start(faketime=FAST).wait_ready()
    mark = manager.mark()
    dial(lab, manager)
    manager.ready(since=mark)
    mark = manager.mark()
    manager.install("move", move_wan1("192.168.49.81"), move_wan1(DEVICE_IP))
    agent.wait_install_state(expect.TESTING)
    assert "192.168.49.81/24" in lab.device_ns.addresses("wan1")
    agent.wait_install_state(expect.RETESTING, timeout=real(900, slack=15))
    assert f"{DEVICE_IP}/24" in lab.device_ns.addresses("wan1")
    dial(lab, manager)
    verdict, text = manager.verdict("move", 20, mark)
    assert verdict == "rolled-back", text
    agent.wait_install_state(expect.IDLE)
    assert "192.168.48.81" in agent.saved.read_text() and manager.errors() == []


def test_manager_finds_the_new_address(lab):
    """The same install, and the manager knows where to look: what it changed is kept."""
    manager, agent = listed(lab)
    mark = manager.mark()
    dial(lab, manager)
    manager.ready(since=mark)
    lab.manager_ns.ip("address", "add", "192.168.49.46/24", "dev", "eth0")
    mark = manager.mark()
    manager.install("move", move_wan1("192.168.49.81"), move_wan1(DEVICE_IP))
    agent.wait_install_state(expect.TESTING)
    dial(lab, manager, "192.168.49.81")
    assert manager.verdict("move", 20, mark)[0] == "committed"
    assert "192.168.49.81" in agent.saved.read_text() and manager.errors() == []


def test_install_that_takes_fgfm_away(lab):
    """An install by which the manager locks itself out proves nothing, and is undone."""
    manager, agent = listed(lab)
    agent.stop()
    agent.start(faketime=FAST).wait_ready()
    mark = manager.mark()
    dial(lab, manager)
    manager.ready(since=mark)
    mark = manager.mark()
    script = 'config system interface\n    edit "wan1"\n        set allowaccess ping{}\n    next\nend\n'
    manager.install("locked", script.format(""), script.format(" https ssh snmp http telnet fgfm"))
    agent.wait_install_state(expect.RETESTING, timeout=real(900, slack=15))
    dial(lab, manager)
    verdict, text = manager.verdict("locked", 20, mark)
    assert verdict == "rolled-back", text
    assert "telnet fgfm" in agent.saved.read_text()


@pytest.mark.parametrize("certificate, serial", [("manager-02", "FMG-VM0000000002"), ("manager-wrongca", None)])
def test_only_the_manager_of_an_install_proves_it(lab, certificate, serial):
    """Somebody else who dials during the test confirms nothing."""
    manager, agent = listed(lab)
    mark = manager.mark()
    dial(lab, manager)
    manager.ready(since=mark)
    mark = manager.mark()
    manager.install("x", HARMLESS_SET, HARMLESS_UNSET)
    manager.wait("session_closed", since=mark, timeout=20)
    manager.use_certificate(lab.pki, certificate, serial)
    other = manager.mark()
    dial(lab, manager)
    manager.wait("session_closed", since=other)
    assert agent.install_state() == expect.TESTING and "renamed" not in agent.saved.read_text()
    manager.use_certificate(lab.pki, "manager", MANAGER_SERIAL)
    poll(lambda: _dials(lab, manager, mark), 20, "the manager to prove it", every=1)


def _dials(lab, manager, mark):
    dial(lab, manager)
    return any(e.get("result") == "committed" or (e.get("receipt") or {}).get("verdict") == "committed"
               for name in ("result", "receipt") for e in manager.events(name, since=mark))


def test_agent_killed_while_the_manager_has_to_come(lab):
    """The test goes on after a crash: the port is open again, and the manager's session commits."""
    manager, agent = listed(lab)
    mark = manager.mark()
    dial(lab, manager)
    manager.ready(since=mark)
    mark = manager.mark()
    manager.install("killed", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    agent.restart()
    agent.wait_ready()
    assert agent.install_state() == expect.TESTING
    wait_listening(lab)
    dial(lab, manager)
    assert manager.verdict("killed", 20, mark)[0] == "committed"


# two managers

def ha_pair(lab, **options):
    """A registered first manager, a second one in the list; both configured. Returns (first, second, agent)."""
    certificate, serial, address = SECOND
    first, agent = lab.connected(**options)
    lab.add_manager_address(address)
    second = lab.manager(certificate, serial=serial, address=address, tun=False)
    agent.script(f'config system central-management\nset fmg "{MANAGER_IP}" "{address}"\nend\n')
    agent.ask("execute", "central-mgmt", "register-device", serial, "pass")
    second.ready()
    agent.wait_status(expect.UP)
    assert agent.trusted() == [MANAGER_SERIAL, serial]
    return first, second, agent


def test_take_over_by_the_second_manager(lab):
    """When the manager in use is gone the other trusted one gets the session, and may install."""
    first, second, agent = ha_pair(lab, faketime=FAST)
    second.call("quit")
    mark = first.mark()
    first.ready(timeout=20, since=0 if first.events("ready", since=mark) else mark)
    agent.wait_status(expect.UP)
    assert agent.status()["serial"] == MANAGER_SERIAL
    proves_itself(first, agent)


def test_take_over_at_the_same_address(lab):
    """A cluster's address moves: who answers there now is the second trusted serial number."""
    first, second, agent = ha_pair(lab, faketime=FAST)
    second.call("quit")
    agent.wait_status(expect.UP, 20)
    first.use_certificate(lab.pki, SECOND[0], SECOND[1])
    mark = first.mark()
    first.call("drop")
    first.ready(since=mark)
    poll(lambda: agent.status().get("serial") == SECOND[1], 5, "the session of the second serial number")
    proves_itself(first, agent)


def test_no_take_over_by_a_stranger(lab):
    """A manager at the second address that is not in the list gets nothing."""
    certificate, serial, address = SECOND
    lab.add_manager_address(address)
    second = lab.manager(certificate, serial=serial, address=address, tun=False)
    lab.agent.configure(fmg=[MANAGER_IP, address])
    first, agent = lab.connected(faketime=FAST)
    first.call("quit")
    agent.wait_log(expect.log("not in list", sn=serial))
    assert second.events("get_ip") == [] and agent.trusted() == [MANAGER_SERIAL]


def test_take_over_by_a_manager_that_dials(lab):
    """With nobody to dial: the second trusted manager comes in once the first is gone."""
    first, second, agent = ha_pair(lab)
    agent.stop()
    listen_only(agent)
    mark, other = first.mark(), second.mark()
    agent.start().wait_ready()
    dial(lab, first)
    first.ready(since=mark)
    dial(lab, second)
    second.wait("session_closed", since=other)
    first.call("drop")
    other = second.mark()
    dial(lab, second)
    second.ready(since=other)
    assert json.loads(agent.ctl("diagnose", "fdsm", "central-mgmt-status", json_output=True).stdout)["serial"] == \
        SECOND[1]
    assert DEVICE_CONFIG and first.errors() == [] and second.errors() == []
