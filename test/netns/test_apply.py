"""What an install does to the running system, what takes it back, and what is nobody's but an operator's."""

import contextlib
import os
import pathlib

import pytest

import expect
from harness import DEVICE_IP, DEVICE_IP6, DEVICE_SERIAL, FAST, HARMLESS_SET, HARMLESS_UNSET, REAL_TIME, real
from netns import poll, run

RETEST = 300

EVERYTHING = """config system interface
    edit "wan1"
        set ip 192.168.48.81 255.255.255.0
        set secondary-IP enable
        config secondaryip
            edit 1
                set ip 10.48.0.1 255.255.255.0
            next
            edit 2
                set ip 192.168.48.82 255.255.255.0
            next
        end
        config ipv6
            set ip6-address fd48:1::81/64
            config ip6-extra-addr
                edit fd48:2::81/64
                next
            end
        end
        set mtu-override enable
        set mtu 1400
    next
end
config router static
    edit 7
        set dst 10.99.0.0 255.255.0.0
        set gateway 10.48.0.254
        set device "wan1"
        set distance 5
    next
    edit 8
        set dst 10.98.0.0 255.255.0.0
        set blackhole enable
    next
end
config router static6
    edit 1
        set dst fd99::/32
        set gateway fd48:1::1
        set device "wan1"
    next
end
config system dns
    set primary 192.168.48.53
    set ip6-primary fd48:1::53
    set domain "example.org"
end
config system global
    set hostname "renamed"
    set timezone "Area/East"
end
"""


@pytest.fixture
def host(lab):
    """The agent applies to a host of its own: UTS namespace, and files in the test's folder."""
    folder = lab.folder / "host"
    (folder / "zoneinfo" / "Area").mkdir(parents=True)
    for name in ("East", "West"):
        (folder / "zoneinfo" / "Area" / name).write_bytes(b"TZif2" + bytes(39))
    (folder / "resolv.conf").write_text("nameserver 203.0.113.9\n")
    (folder / "localtime").symlink_to(folder / "zoneinfo" / "Area" / "West")
    lab.agent.set(apply_system="enable", resolv_conf=f'"{folder}/resolv.conf"', localtime=f'"{folder}/localtime"',
                  zoneinfo_directory=f'"{folder}/zoneinfo"')
    return folder


def hostname(agent):
    return run("nsenter", "-t", agent.process.program_pid, "--uts", "hostname").stdout.strip()


def picture(lab, host):
    """All of it that an install can change."""
    return {"addresses": lab.device_ns.addresses("wan1"), "routes": sorted(lab.device_ns.routes()),
            "routes6": sorted(r for r in lab.device_ns.routes("-6") if not r.startswith("fe80")),
            "link": lab.device_ns.ip("-o", "link", "show", "wan1").stdout.split(" qdisc")[0],
            "hostname": hostname(lab.agent), "resolv": (host / "resolv.conf").read_text(),
            "zone": os.readlink(host / "localtime")}


def drift(agent):
    """What `diagnose fgfm drift` tells, without what every test begins with: a device that does not exist, and an
    address of the harness."""
    rows = {(d["table"], d["key"], d["what"], d["expected"], d["found"])
            for d in agent.ask_json("diagnose", "fgfm", "drift")["drift"]}
    known = {("system interface", "modem", "device", "present", "missing"),
             ("system interface", "wan1", "address", "none", f"{DEVICE_IP6}/64")}
    assert known <= rows
    return rows - known


def assert_everything(lab, host):
    now = picture(lab, host)
    assert {f"{DEVICE_IP}/24", "10.48.0.1/24", "192.168.48.82/24", "fd48:1::81/64", "fd48:2::81/64"} <= now["addresses"]
    assert any(r.startswith("10.99.0.0/16 via 10.48.0.254 dev wan1") and "metric 327681" in r for r in now["routes"])
    assert any(r.startswith("blackhole 10.98.0.0/16") for r in now["routes"])
    assert any(r.startswith("fd99::/32 via fd48:1::1 dev wan1") for r in now["routes6"])
    assert "mtu 1400" in now["link"] and now["hostname"] == "renamed"
    assert "nameserver 192.168.48.53\nnameserver fd48:1::53\n" in now["resolv"]
    assert now["zone"].endswith("/Area/East")


def assert_codes_are_0(manager, install_id):
    lines = manager.result_lines(install_id)
    assert lines and {code for code, _ in lines} == {0}, lines


def revert(lab, manager, install_id):
    """End a pending install whose test does not pass."""
    lab.agent.wait_install_state(expect.TESTING)
    lab.agent.ask("execute", "fgfm", "install", "revert")
    manager.well_behaved()
    assert manager.verdict(install_id, real(RETEST))[0] == "rolled-back"


def test_everything_is_installed(lab, host):
    """IPv6, secondary addresses, both kinds of routes, name servers, name and zone; also after a restart."""
    manager, agent = lab.connected(faketime=REAL_TIME)
    assert manager.install_and_wait("e1", EVERYTHING, "")[0] == "committed"
    assert_codes_are_0(manager, "e1")
    assert_everything(lab, host)
    assert drift(agent) == set()
    # killed, and the system changed meanwhile: what is missing comes, and is said
    agent.kill()
    lab.device_ns.ip("route", "del", "10.99.0.0/16")
    lab.device_ns.ip("address", "del", "fd48:2::81/64", "dev", "wan1")
    agent.start(faketime=REAL_TIME).wait_ready()
    assert_everything(lab, host)
    assert "the configuration is applied, " in agent.log()


@pytest.mark.parametrize("unset", ["", "config system dns\n    unset primary\nend\n"], ids=["empty", "half"])
def test_everything_is_taken_back(lab, host, unset):
    """A rollback leaves the system as it was: file for file, address for address."""
    manager, agent = lab.connected(faketime=FAST)
    before, saved = picture(lab, host), agent.saved.read_bytes()
    manager.behave("auth.answer=off")
    manager.install("t1", EVERYTHING, unset)
    agent.wait_install_state(expect.TESTING)
    assert_everything(lab, host)
    revert(lab, manager, "t1")
    assert picture(lab, host) == before
    assert agent.saved.read_bytes() == saved
    assert sorted(p.name for p in host.iterdir()) == ["localtime", "resolv.conf", "zoneinfo"]


def test_taken_back_after_a_kill(lab, host):
    """So it does when the agent was killed in between: nothing of what it found is in its memory alone."""
    manager, agent = lab.connected(faketime=FAST)
    before = picture(lab, host)
    manager.behave("auth.answer=off")
    manager.install("k1", EVERYTHING, "")
    agent.wait_install_state(expect.TESTING)
    agent.kill()
    name = before.pop("hostname")  # its UTS namespace ended with it
    agent.start(faketime=FAST).wait_ready()
    revert(lab, manager, "k1")
    now = picture(lab, host)
    assert now.pop("hostname") == name or name == DEVICE_SERIAL
    assert now == before


def test_vlan(lab, host):
    """A VLAN is made and taken back; one that somebody else made is a conflict and stays."""
    probe = lab.device_ns.ip("link", "add", "link", "wan1", "name", "other", "type", "vlan", "id", "11", check=False)
    if "Unknown device type" in probe.stderr:
        pytest.skip("this kernel has no VLANs")
    script = ('config system interface\n    edit "{name}"\n        set ip 10.10.0.1 255.255.255.0\n'
              '        set interface "wan1"\n        set vlanid {id}\n    next\nend\n')
    manager, _agent = lab.connected(faketime=FAST)
    assert manager.install_and_wait("v0", script.format(name="other", id=12), "")[0] == "committed"
    assert (-7, "next") in manager.result_lines("v0")
    manager.behave("auth.answer=off")
    manager.install("v1", script.format(name="vlan10", id=10), "")
    lab.agent.wait_install_state(expect.TESTING)
    assert "10.10.0.1/24" in lab.device_ns.addresses("vlan10")
    revert(lab, manager, "v1")
    assert lab.device_ns.ip("link", "show", "vlan10", check=False).returncode != 0
    assert lab.device_ns.ip("link", "show", "other").returncode == 0


def test_link_instead_of_a_resolver_file(lab, host):
    """Somebody else's link is a conflict, and stays."""
    (host / "resolv.conf").unlink()
    (host / "resolv.conf").symlink_to("stub-resolv.conf")
    manager, _agent = lab.connected(faketime=REAL_TIME)
    script = "config system dns\n    set primary 192.168.48.53\nend\n"
    assert manager.install_and_wait("s1", script, "")[0] == "committed"
    assert manager.result_lines("s1")[-1] == (-7, "end")
    assert os.readlink(host / "resolv.conf") == "stub-resolv.conf"


# --- drift ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["committed", "rolled-back"])
def test_drift_is_shown_and_stays(lab, host, how):
    """What an operator changed by hand outlives an install, and a rollback, of something else."""
    more = ("config system dns\n    set primary 192.168.48.53\nend\n"
            'config system interface\n    edit "lan1"\n        set ip 10.55.0.1 255.255.255.0\n    next\nend\n'
            "config router static\n    edit 5\n        set dst 10.56.0.0 255.255.0.0\n"
            '        set gateway 10.55.0.9\n        set device "lan1"\n    next\nend\n')
    run("ip", "link", "add", "lan1", "netns", lab.device_ns.name, "type", "veth", "peer", "name", "lan1", "netns",
        lab.manager_ns.name)
    lab.manager_ns.ip("link", "set", "lan1", "up")
    lab.agent.configure(more=more)
    manager, agent = lab.connected(faketime=FAST)
    poll(lambda: not drift(agent), 5, "a system as configured")
    lab.device_ns.ip("route", "del", "10.56.0.0/16")
    lab.device_ns.ip("address", "del", "10.55.0.1/24", "dev", "lan1")
    lab.device_ns.ip("address", "add", "10.57.0.1/24", "dev", "lan1")
    (host / "resolv.conf").write_text("nameserver 203.0.113.10\n")
    expected = {("system interface", "lan1", "address", "10.55.0.1/24", "none"),
                ("system interface", "lan1", "address", "none", "10.57.0.1/24"),
                ("router static", "5", "route", "10.56.0.0/16 via 10.55.0.9 dev lan1 metric 655361", "none"),
                ("system dns", "", "resolv-conf", "nameserver 192.168.48.53", "nameserver 203.0.113.10")}
    assert expected == drift(agent)
    text = agent.ask("diagnose", "fgfm", "drift")
    assert "system interface lan1: address: expected 10.55.0.1/24, found none\n" in text
    script = HARMLESS_SET + 'config system interface\n    edit "wan1"\n        set alias "x"\n    next\nend\n'
    if how == "committed":
        assert manager.install_and_wait("d1", script, HARMLESS_UNSET, timeout=real(200))[0] == "committed"
    else:
        manager.behave("auth.answer=off")
        manager.install("d1", script, HARMLESS_UNSET)
        revert(lab, manager, "d1")
    assert expected == drift(agent)
    assert lab.device_ns.addresses("lan1") == {"10.57.0.1/24"}
    assert (host / "resolv.conf").read_text() == "nameserver 203.0.113.10\n"


# --- handlers ---------------------------------------------------------------------------------------------------------

TABLE = """{"tables": [{"path": "box thing", "key": {"name": "id", "type": "integer"},
             "attributes": [{"name": "v", "type": "string"}]}]}"""
ACCEPT = 'echo \'{"code":0}\''


@pytest.fixture
def handler(lab):
    """Writes the handler of `box thing`: what it does for each line. It keeps what it hears in the file `heard`."""
    for name in ("schema.d", "handlers"):
        (lab.folder / name).mkdir(mode=0o755)
    lab.folder.chmod(0o755)
    (lab.folder / "schema.d" / "box.json").write_text(TABLE)
    lab.agent.set(schema_directory=f'"{lab.folder}/schema.d"', handler_directory=f'"{lab.folder}/handlers"')

    def write(on_line):
        path = lab.folder / "handlers" / "box.thing"
        path.write_text(f"#!/bin/sh\necho start >> {lab.folder}/heard\necho $$ > {lab.folder}/pid\n"
                        "while IFS= read -r line; do\n"
                        f"printf '%s\\n' \"$line\" >> {lab.folder}/heard\n{on_line}\ndone\n")
        path.chmod(0o755)
        return path
    return write


def in_session(session):
    """Processes of a session that still live."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            stat = pathlib.Path(f"/proc/{int(entry) if entry.isdigit() else 'none'}/stat").read_text()
            state, _parent, _group, its = stat.rpartition(")")[2].split()[:4]
            found += [entry] if int(its) == session and state != "Z" else []
    return found


def heard(lab):
    path = lab.folder / "heard"
    return path.read_text().splitlines() if path.exists() else []


def things(*names):
    return "config box thing\n" + "".join(f'    edit {i}\n        set v "{name}"\n    next\n'
                                          for i, name in enumerate(names, 1)) + "end\n"


def codes_of(manager, install_id, command):
    return [code for code, c in manager.result_lines(install_id) if c == command]


def test_handler_takes_and_refuses(lab, handler):
    """One run for the install; its codes are those of the commands."""
    handler('case $line in *bad*) echo \'{"code":-7,"message":"bad"}\' ;; *) ' + ACCEPT + " ;; esac")
    manager, agent = lab.connected(faketime=REAL_TIME)
    assert manager.install_and_wait("h1", things("good", "bad", "fine"), "")[0] == "committed"
    assert codes_of(manager, "h1", "next") == [0, -7, 0]
    assert [line for line in heard(lab) if line == "start"] == ["start"]
    assert "bad" not in agent.ask("show", "box", "thing") and "fine" in agent.saved.read_text()
    # the operator's commands go the same way, and a start tells everything
    assert agent.script(things("good", "bad")).returncode == 1
    agent.restart(faketime=REAL_TIME).wait_ready()
    assert [line.split('"operation":"')[1].split('"')[0] for line in heard(lab)[-2:]] == ["create", "create"]


@pytest.mark.parametrize("on_line, reason", [("sleep 600", "no answer within 10 s"), ("exit 1", "it ended"),
                                             ("yes", "more than one line"), ("echo well", "were expected"),
                                             ("yes >&2", "on standard error"),
                                             ("yes | tr -d '\\n'", "longer than")],
                         ids=["hangs", "dies", "floods", "garbage", "stderr", "endless-line"])
def test_handler_breaks_the_rules(lab, handler, on_line, reason):
    """Its table takes nothing, everything else goes on, and nothing of it is left running."""
    handler(on_line)
    manager, agent = lab.connected()
    verdict, _text = manager.install_and_wait("b1", things("a", "b") + HARMLESS_SET, HARMLESS_UNSET, timeout=20)
    assert verdict == "committed"
    assert codes_of(manager, "b1", "next") == [-1000, -1000]
    assert 'set hostname "renamed"' in agent.saved.read_text() and "box thing" not in agent.saved.read_text()
    assert reason in agent.log()
    assert len([line for line in heard(lab) if line == "start"]) == 1
    poll(lambda: not in_session(int((lab.folder / "pid").read_text())), 5, "all of the handler to be gone")
    assert manager.errors() == []


def test_handler_takes_back(lab, handler):
    """A rollback tells the handler the inverse."""
    handler(ACCEPT)
    manager, agent = lab.connected()
    manager.behave("auth.answer=off")
    manager.install("r1", things("a", "b"), "config box thing\n    delete 2\nend\n")
    agent.wait_install_state(expect.TESTING)
    agent.ask("execute", "fgfm", "install", "revert")
    manager.well_behaved()
    assert manager.verdict("r1", 60)[0] == "rolled-back"
    told = [line.split('"operation":')[1].split(',"old"')[0] for line in heard(lab) if line != "start"]
    assert told == ['"create","key":"1"', '"create","key":"2"', '"delete","key":"2"', '"delete","key":"1"']
    assert len([line for line in heard(lab) if line == "start"]) == 2


def test_handler_that_is_not_roots(lab, handler):
    """A program that somebody else could change is not started."""
    handler(ACCEPT).chmod(0o777)
    manager, agent = lab.connected(faketime=REAL_TIME)
    assert manager.install_and_wait("w1", things("a"), "")[0] == "committed"
    assert codes_of(manager, "w1", "next") == [-1000]
    assert heard(lab) == [] and "nobody else may write" in agent.log()


def test_table_that_nothing_applies(lab, handler):
    """It is kept, and `show` says so once."""
    manager, agent = lab.connected(faketime=REAL_TIME)
    assert manager.install_and_wait("k1", things("a"), "")[0] == "committed"
    for _ in range(2):
        assert 'set v "a"' in agent.ask("show", "box", "thing")
    assert agent.log().count("box thing: nothing applies this table") == 1
