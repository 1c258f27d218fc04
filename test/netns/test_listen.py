"""Managers that open the connection: where they may, who they have to be, and how many at once."""

import json
import re
import subprocess

import pytest

import expect
from harness import (DEVICE_CONFIG, DEVICE_IP, DEVICE_IP6, FAST, MANAGER_IP6, MANAGER_SERIAL, REAL_TIME)
from netns import PYTHON, Process, poll

CALL = """
import socket, sys, time
calls = []
for source in sys.argv[3:]:
    s = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    s.bind((source, 0))
    s.settimeout(5)
    s.connect_ex((sys.argv[1], int(sys.argv[2])))
    calls.append(s)
def outcome(s):
    try:
        return "greeted" if s.recv(1) else "closed"
    except OSError as error:
        return "silence" if isinstance(error, TimeoutError) else "closed"
print(" ".join(outcome(s) for s in calls), flush=True)
sys.stdin.readline()
"""


def listen_only(agent, base=DEVICE_CONFIG, more="", central=""):
    """Under management, but nobody to dial: the manager has to come."""
    agent.configure(fmg=[], central="    set type fortimanager\n" + central, base=base, more=more)
    agent.set(listen="enable", listen_port="541")


def sockets(lab, port=541, kind="t"):
    return lab.device_ns.run("ss", f"-Hl{kind}n", f"sport = :{port}").stdout.splitlines()


def wait_listening(lab):
    poll(lambda: sockets(lab), 5, "the agent to listen")


def dial(lab, manager, address=DEVICE_IP, port=541):
    wait_listening(lab)
    manager.call("dial", address=address, port=port)


def listed(lab, **options):
    """An agent that has this manager in its list, and from now on waits for it. Returns (manager, agent)."""
    manager, agent = lab.connected()
    agent.stop()
    listen_only(agent, **options)
    agent.start().wait_ready()
    return manager, agent


def strangers(lab, sources, address=DEVICE_IP, port=541):
    """What becomes of TCP connections from these addresses, each of which says nothing: a word each."""
    wait_listening(lab)
    done = lab.manager_ns.run(PYTHON, "-c", CALL, address, str(port), *sources, stdin=subprocess.DEVNULL)
    return done.stdout.split()


def test_manager_dials_the_device(lab):
    """A listening agent is reached by its listed manager; it is the TLS client even then."""
    manager, agent = listed(lab)
    mark = manager.mark()
    dial(lab, manager)
    assert manager.wait("accept", since=mark, by="manager")
    manager.ready(since=mark)
    agent.wait_status(expect.UP)
    assert agent.status()["opened-by"] == "manager"
    assert manager.errors() == []


def test_manager_dials_over_ipv6(lab):
    """Over IPv6 it is port 542, and ip6-allowaccess that counts."""
    base = DEVICE_CONFIG.replace("        set type physical\n    next\n    edit \"modem\"",
                                 "        set type physical\n        config ipv6\n            set ip6-address "
                                 f"{DEVICE_IP6}/64\n            set ip6-allowaccess ping fgfm\n        end\n    next\n"
                                 "    edit \"modem\"")
    manager, _agent = listed(lab, base=base)
    mark = manager.mark()
    dial(lab, manager, DEVICE_IP6, 542)
    manager.ready(since=mark)
    assert manager.wait("get_auth", since=mark)["keys"]["fg_ip"] == DEVICE_IP6
    assert manager.errors() == []


def test_ipv6_without_its_own_allowaccess(lab):
    """allowaccess of IPv4 opens nothing for IPv6."""
    listen_only(lab.agent)
    agent = lab.agent.start().wait_ready()
    assert strangers(lab, [MANAGER_IP6], DEVICE_IP6, 542) == ["closed"]
    agent.wait_log(r"came in by interface wan1, where fgfm is not allowed")


@pytest.mark.parametrize("bootstrap, old, new", [
    ({"listen": "disable"}, "", ""),
    ({}, "set allowaccess ping https ssh snmp http telnet fgfm", "set allowaccess ping https ssh"),
    ({}, "set type fortimanager", "set type none"),
], ids=["listen-disabled", "no-fgfm-anywhere", "type-none"])
def test_nothing_listens(lab, bootstrap, old, new):
    """Without `listen`, an interface with fgfm, or central management the port is closed."""
    agent = lab.agent
    listen_only(agent)
    agent.set(**bootstrap)
    text = agent.saved.read_text()
    assert old in text
    agent.saved.write_text(text.replace(old, new))
    agent.start().wait_ready()
    assert sockets(lab) == [] and sockets(lab, 542) == []


def test_interface_without_fgfm(lab):
    """The interface a connection comes in by decides, not the address it goes to."""
    lab.device_ns.ip("link", "add", "lan1", "type", "veth", "peer", "name", "eth1", "netns", lab.manager_ns.name)
    lab.device_ns.ip("address", "add", "10.7.0.81/24", "dev", "lan1")
    lab.device_ns.ip("link", "set", "lan1", "up")
    lab.manager_ns.ip("address", "add", "10.7.0.46/24", "dev", "eth1")
    lab.manager_ns.ip("link", "set", "eth1", "up")
    more = ("config system interface\n    edit \"lan1\"\n        set vdom \"root\"\n        set ip 10.7.0.81 "
            "255.255.255.0\n        set allowaccess ping\n    next\nend\n")
    manager, agent = listed(lab, more=more)
    assert strangers(lab, ["10.7.0.46"], "10.7.0.81") == ["closed"]
    # the address of the allowed interface, by the way of the other one
    lab.manager_ns.ip("route", "add", f"{DEVICE_IP}/32", "via", "10.7.0.81")
    assert strangers(lab, ["10.7.0.46"]) == ["closed"]
    assert len(re.findall(r"came in by interface lan1, where fgfm is not allowed", agent.log())) == 2
    done = agent.script('config system interface\nedit "lan1"\nset allowaccess ping fgfm\nnext\nend\n')
    assert done.returncode == 0, done.stderr
    mark = manager.mark()
    dial(lab, manager, "10.7.0.81")
    manager.ready(since=mark)


def test_fgfm_taken_away(lab):
    """A session that came in where it may not any more is ended, and no other comes in."""
    manager, agent = listed(lab)
    mark = manager.mark()
    dial(lab, manager)
    manager.ready(since=mark)
    agent.script('config system interface\nedit "wan1"\nset allowaccess ping\nnext\nend\n')
    manager.wait("session_closed", since=mark)
    poll(lambda: not sockets(lab), 5, "the port to be closed")
    assert "fgfm is not allowed there any more" in agent.log()


def test_port_in_use(lab):
    """A port that is taken is tried again; the agent runs on."""
    listen_only(lab.agent)
    other = Process([*lab.device_ns.enter(), PYTHON, "-c", "import socket,time\n"
                     "s=[socket.create_server(('',541)), socket.create_server(('::',542),family=socket.AF_INET6)]\n"
                     "time.sleep(600)"], lab.folder / "other.log")
    lab.stack.callback(other.destroy)
    wait_listening(lab)
    agent = lab.agent.start(faketime=FAST).wait_ready()
    agent.wait_log("tried again in 30 s")
    other.destroy()
    agent.wait_log(r"\[listen\] managers may connect to ports 541")


def test_unlisted_manager_that_dials(lab):
    """A manager that is not in the list is refused before anything of it is looked at."""
    manager, agent = listed(lab)
    manager.use_certificate(lab.pki, "manager-02", "FMG-VM0000000002")
    mark = manager.mark()
    dial(lab, manager)
    manager.wait("session_closed", since=mark)
    agent.wait_log(expect.log("not in list", sn="FMG-VM0000000002"))
    assert manager.events("get_ip", since=mark) == [] and agent.trusted() == [MANAGER_SERIAL]


@pytest.mark.parametrize("certificate", ["manager-wrongca", "manager-expired"])
def test_bad_certificate_of_a_manager_that_dials(lab, certificate):
    """A chain that does not verify ends the handshake."""
    manager, _agent = listed(lab)
    manager.use_certificate(lab.pki, certificate)
    mark = manager.mark()
    dial(lab, manager)
    manager.wait("session_closed", since=mark)
    assert manager.events("get_auth", since=mark) == []


def test_one_source_gets_few_connections(lab):
    """Silent connections of one address: two are greeted, the others not; the listed manager still comes in."""
    manager, agent = listed(lab)
    lab.add_manager_address("192.168.48.60")
    wait_listening(lab)
    assert sorted(strangers(lab, ["192.168.48.60"] * 5)) == ["closed"] * 3 + ["greeted"] * 2
    mark = manager.mark()
    dial(lab, manager)
    manager.ready(since=mark)
    assert json.loads(agent.ctl("diagnose", "fgfm", "session", json_output=True).stdout)["calls-refused"] >= 3


def test_flood_of_silent_connections_cannot_lock_out_a_manager(lab):
    """Half-open connections of many addresses: the oldest make room, and the manager comes in meanwhile."""
    manager, agent = listed(lab)
    sources = [f"192.168.48.{n}" for n in range(100, 140)]
    for source in sources:
        lab.add_manager_address(source)
    wait_listening(lab)
    flood = Process([*lab.manager_ns.enter(), "sh", "-c", 'sleep 600 | "$0" "$@"', PYTHON, "-c", CALL, DEVICE_IP, "541",
                     *[s for s in sources for _ in range(2)]], lab.folder / "flood.log")
    lab.stack.callback(flood.destroy)
    poll(lambda: "greeted" in flood.text(), 20, "the flood")
    mark = manager.mark()
    dial(lab, manager)
    manager.ready(since=mark)
    assert "it made room for a newer connection" in agent.log()


def test_silent_connection_is_given_up(lab):
    """Somebody who connects and says nothing is let go after 30 seconds."""
    manager, agent = lab.connected()
    agent.stop()
    listen_only(agent)
    agent.start(faketime=FAST).wait_ready()
    manager.behave("at.accept=stall")
    mark = manager.mark()
    dial(lab, manager)
    manager.wait("session_closed", since=mark)
    agent.wait_log("not authenticated in time")


def test_nothing_wakes_a_listening_agent(lab):
    """Waiting costs nothing: no system call in two seconds."""
    listen_only(lab.agent)
    agent = lab.agent.start(faketime=REAL_TIME).wait_ready()
    wait_listening(lab)
    trace = lab.folder / "idle.strace"
    poll(lambda: not _calls(agent, trace), 30, "two seconds without a system call")


def _calls(agent, trace):
    lab_words = ["timeout", "-s", "INT", "2", "strace", "-qq", "-o", trace, "-p", str(agent.process.program_pid)]
    Process(lab_words, f"{trace}.log").wait(10)
    # the call it was waiting in when strace came and went
    return [line for line in trace.read_text().splitlines()
            if "epoll_wait" not in line and "epoll_pwait" not in line and "restart_syscall" not in line]


# both at once

def test_device_opened_session_stays(lab):
    """A manager that dials although the device has a session with it: the device's own stays."""
    lab.agent.set(listen="enable")
    manager, agent = lab.connected()
    mark = manager.mark()
    dial(lab, manager)
    manager.wait("session_closed", since=mark, timeout=10)
    assert "the session that this device has opened stays" in agent.log()
    assert [s["by"] for s in manager.sessions()] == ["device"]
    assert agent.status()["opened-by"] == "device"


def test_device_takes_over_what_it_dialled(lab):
    """Dialling goes on when the manager is faster: then the device's own session takes the place of the other."""
    lab.agent.set(listen="enable")
    manager = lab.manager(behaviour=["auth.delay=2"])
    agent = lab.agent.start(faketime=REAL_TIME).wait_ready()
    first = manager.wait("get_auth")["session"]
    manager.behave("auth.delay=0")
    manager.well_behaved()
    agent.wait_status(expect.UP)
    assert manager.sessions()[0]["by"] == "device" and manager.sessions()[0]["session"] == first


def test_newer_session_of_the_same_manager(lab):
    """A manager that has lost its session without our knowing dials again: the newer one takes its place."""
    manager, agent = listed(lab)
    mark = manager.mark()
    dial(lab, manager)
    manager.ready(since=mark)
    mark = manager.mark()
    manager.call("dial", address=DEVICE_IP, port=541)
    manager.ready(since=mark)
    poll(lambda: len(manager.sessions()) == 1, 10, "the older session to end")
    agent.wait_status(expect.UP)


def test_other_manager_does_not_push_out(lab):
    """A second listed manager waits until the first one is gone."""
    manager, agent = listed(lab)
    first = manager.mark()
    dial(lab, manager)
    manager.ready(since=first)
    agent.ask("execute", "central-mgmt", "register-device", "FMG-VM0000000002", "pass")
    lab.add_manager_address("192.168.48.47")
    second = lab.manager("manager-02", serial="FMG-VM0000000002", address="192.168.48.47", tun=False)
    dial(lab, second)
    second.ready()  # registration was asked for: it is the one that is wanted
    assert agent.trusted() == [MANAGER_SERIAL, "FMG-VM0000000002"]
    mark = manager.mark()
    dial(lab, manager)
    manager.wait("session_closed", since=mark)
    assert "another manager has the session" in agent.log()
    mark = manager.mark()
    second.call("drop")
    poll(lambda: agent.status().get("connection-status") != expect.UP, 5, "the second to be gone")
    dial(lab, manager)
    manager.ready(since=mark)
    assert manager.errors() == [] and second.errors() == []
