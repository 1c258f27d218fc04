"""Installs that cut the device off, and how it comes back."""

import json

import pytest

import expect
from harness import (DEVICE_CONFIG, DEVICE_IP, FAST, GUIDE_SET, GUIDE_UNSET, HARMLESS_SET, HARMLESS_UNSET, MANAGER_IP, SPEED, move_wan1, real,
                     timed)
from netns import poll

ROLLBACK = 900
RETEST = 300


def back_on_wan1(lab):
    """wan1 and the default route are as the saved configuration says."""
    return (f"{DEVICE_IP}/24" in lab.device_ns.addresses("wan1")
            and not any(a.startswith("192.168.49.") for a in lab.device_ns.addresses("wan1"))
            and any(r.startswith("default via 192.168.48.1") for r in lab.device_ns.routes()))


def assert_as_before(lab, agent, saved):
    """Saved file, memory and system agree, and are as they were."""
    assert agent.saved.read_bytes() == saved
    poll(lambda: back_on_wan1(lab), 5, "wan1 as it was")
    assert f"set ip {DEVICE_IP} 255.255.255.0" in agent.ask("show", "system", "interface")
    assert not agent.journal.exists()
    assert agent.wait_install_state(expect.IDLE)


def test_guide_example(lab):
    """wan1 is moved away; after 900 s the unset script runs, `unset type` fails with -23, and all is back."""
    manager, agent = lab.connected(faketime=FAST)
    saved, mark = agent.saved.read_bytes(), manager.mark()
    took = timed(lambda: (manager.install("g1", GUIDE_SET, GUIDE_UNSET),
                          manager.receipt("g1", real(ROLLBACK + 120), since=mark)))
    assert took > ROLLBACK / SPEED * 0.95, "not before the 900 s"
    receipt = manager.receipt("g1", since=mark)
    assert expect.verdict(receipt) == "rolled-back"
    assert "unset type" in json.dumps(receipt) and "-23" in json.dumps(receipt)
    assert_as_before(lab, agent, saved)
    for command in ("get sys status", "config system interface", 'edit "wan1"', "set ip 192.168.49.81 255.255.255.0",
                    f"set ip {DEVICE_IP} 255.255.255.0"):
        assert expect.search(expect.command_log(0, command), agent.log()), command
    assert expect.search(expect.command_log(-23, "unset type"), agent.log())
    assert manager.errors() == []


@pytest.mark.parametrize("unset", ["", "config system global\nend\n", move_wan1("192.168.49.82")],
                         ids=["empty", "does-nothing", "does-the-wrong-thing"])
def test_incomplete_unset_script(lab, unset):
    """What the unset script leaves undone the agent restores itself, and says so line by line."""
    manager, agent = lab.connected(faketime=FAST)
    saved = agent.saved.read_bytes()
    script = (move_wan1("192.168.49.81") + "config router static\n    edit 1\n"
              "        set gateway 192.168.49.1\n    next\nend\n" + HARMLESS_SET)
    verdict, _text = manager.install_and_wait("u1", script, unset, timeout=real(ROLLBACK + 120))
    assert verdict == "rolled-back"
    assert_as_before(lab, agent, saved)
    assert expect.search(expect.log("restored line"), agent.log())


def test_dry_run_is_in_the_receipt(lab):
    """How much of it the unset script takes back: known before the first command, told to the manager."""
    manager, agent = lab.connected(faketime=FAST)
    script = move_wan1("192.168.49.81") + HARMLESS_SET
    manager.behave("auth.answer=off")
    mark = manager.mark()
    manager.install("dry", script, move_wan1(DEVICE_IP))
    agent.wait_install_state(expect.TESTING)
    pending = agent.ask_json("diagnose", "fgfm", "install-session")
    assert (pending["reversible"], pending["reversible-of"]) == (7, 8)
    manager.call("drop")  # the install's own channel is gone: the receipt has to come
    agent.ask("execute", "fgfm", "install", "revert")
    manager.well_behaved()
    dry = manager.receipt("dry", real(RETEST), since=mark)["dry-run"]
    assert (dry["reversible"], dry["commands"], dry["back"]) == (7, 8, False)
    assert dry["not-reversible"] == [{"line": 7, "command": 'set hostname "renamed"'}]
    assert "7 of 8 commands reversible" in agent.log()
    assert "not taken back by its unset script: set:7: set hostname" in agent.log()


def test_format_directives_in_commands(lab):
    """Values, names and words of an install and of its unset script, in what is printed, logged and sent back."""
    manager, agent = lab.connected(faketime=FAST)
    value = "%s%n%x%p%1s%999999999c"
    script = (f'config system global\n    set hostname "{value}"\n    set {value} x\nend\n'
              f'config system interface\n    edit "wan1"\n        set alias "{value}"\n    next\nend\n'
              f"config {value}\nend\nexecute {value}\n")
    unset = f'config system global\n    unset "{value}"\n    unset hostname\nend\n'
    manager.behave("auth.answer=off")
    manager.install("f1", script, unset)
    agent.wait_install_state(expect.TESTING)
    codes = dict((command, code) for code, command in manager.result_lines("f1"))
    assert codes[f"set {value} x"] == codes[f"config {value}"] == -61
    assert codes[f'set hostname "{value}"'] == codes[f'set alias "{value}"'] == 0
    assert f'set alias "{value}"' in agent.ask("show", "system", "interface")
    agent.ask("execute", "fgfm", "install", "revert")
    manager.well_behaved()
    assert manager.verdict("f1", real(400))[0] == "rolled-back"
    assert value not in manager.get_config()
    assert expect.search(expect.command_log(0, f'set alias "{value}"'), agent.log())


def with_second_interface(lab):
    """wan2, without an address, and in the configuration."""
    lab.device_ns.ip("link", "add", "wan2", "type", "veth", "peer", "name", "wan2peer")
    for device in ("wan2", "wan2peer"):
        lab.device_ns.ip("link", "set", device, "up")
    base = DEVICE_CONFIG.replace('    edit "modem"', '    edit "wan2"\n        set vdom "root"\n    next\n    edit "modem"')
    lab.agent.configure(base=base)


MOVED = ('config system interface\n    edit "wan1"\n        unset ip\n    next\n'
         f'    edit "wan2"\n        set ip {DEVICE_IP} 255.255.255.0\n    next\nend\n'
         'config router static\n    edit 1\n        set device "wan2"\n    next\nend\n')


@pytest.mark.parametrize("unset", [
    "",
    # the address is given back while wan2 still has it, and the route before its device can reach the gateway
    'config router static\n    edit 1\n        set device "wan1"\n    next\nend\n' + move_wan1(DEVICE_IP),
    # an entry is deleted that is still used, and one that was not there
    'config system interface\n    delete "wan2"\n    delete "wan1"\nend\nconfig router static\n    delete 1\n    delete 9\nend\n',
], ids=["nothing", "wrong-order", "deletes-what-was-there"])
def test_address_moved_between_two_interfaces(lab, unset):
    """Whatever order the unset script tries, the system is as the saved configuration says afterwards."""
    with_second_interface(lab)
    manager, agent = lab.connected(faketime=FAST)
    saved = agent.saved.read_bytes()
    manager.install("move", MOVED, unset)
    agent.wait_install_state(expect.TESTING)
    assert f"{DEVICE_IP}/24" in lab.device_ns.addresses("wan2")
    agent.ask("execute", "fgfm", "install", "revert")
    agent.wait_install_state(expect.IDLE, timeout=real(RETEST + 60))
    receipt = agent.receipts()[-1]
    assert expect.verdict(receipt) == "rolled-back" and "did not let go back" not in expect.cause(receipt)
    assert_as_before(lab, agent, saved)
    assert not any(a.startswith("192.168.48.") for a in lab.device_ns.addresses("wan2"))
    assert [r for r in lab.device_ns.routes() if r.startswith("default")] == [
        r for r in lab.device_ns.routes() if r.startswith("default via 192.168.48.1 dev wan1")]
    assert len([r for r in lab.device_ns.routes() if r.startswith("default")]) == 1


def test_state_added_by_hand_survives_a_rollback(lab):
    """A revert touches nothing that the install did not change."""
    manager, agent = lab.connected(faketime=FAST)
    lab.device_ns.ip("address", "add", "10.77.0.1/24", "dev", "wan1")
    lab.device_ns.ip("route", "add", "10.78.0.0/16", "via", "10.77.0.9")
    manager.behave("auth.answer=off")
    manager.install("h1", move_wan1("192.168.48.83"), move_wan1(DEVICE_IP))
    agent.wait_install_state(expect.TESTING)
    agent.ask("execute", "fgfm", "install", "revert")
    manager.well_behaved()
    assert manager.verdict("h1", real(RETEST))[0] == "rolled-back"
    assert "10.77.0.1/24" in lab.device_ns.addresses("wan1")
    assert any(r.startswith("10.78.0.0/16") for r in lab.device_ns.routes())


def test_address_the_host_had_before_stays(lab):
    """A configuration that did not name the interface yet: a revert leaves the box the address it was reached at."""
    lab.agent.configure(base="")
    manager, agent = lab.connected(faketime=FAST)
    manager.behave("auth.answer=off")
    manager.install("h2", "config system interface\n    edit wan1\n        set ip 192.168.48.81/24\n    next\nend\n",
                    "config system interface\n    delete wan1\nend\n")
    agent.wait_install_state(expect.TESTING)
    agent.kill()
    agent.restart(faketime=FAST)
    agent.wait_install_state(expect.TESTING)
    agent.ask("execute", "fgfm", "install", "revert")
    manager.well_behaved()
    assert manager.verdict("h2", real(RETEST))[0] == "rolled-back"
    assert f"{DEVICE_IP}/24" in lab.device_ns.addresses("wan1")
    assert manager.install_and_wait("h3", move_wan1("192.168.48.83"), "config system interface\n    delete wan1\nend\n")[0] \
        == "committed"
    assert lab.device_ns.addresses("wan1") >= {"192.168.48.83/24"}


def test_same_install_again_needs_force(lab):
    """After its rollback the same install is refused (409); force=1 lets it in."""
    manager, agent = lab.connected(faketime=FAST)
    script, unset = move_wan1("192.168.49.81"), move_wan1(DEVICE_IP)
    assert manager.install_and_wait("a1", script, unset, timeout=real(ROLLBACK + 120))[0] == "rolled-back"
    agent.wait_install_state(expect.IDLE)
    verdict, text = manager.install_and_wait("a2", script, unset)
    assert verdict == "refused" and "rolled back before: a1" in text and "no fresh session" in text, text
    assert not agent.journal.exists() and back_on_wan1(lab)
    manager.install("a3", script, unset, force=True)
    agent.wait_install_state(expect.TESTING)
    agent.ask("execute", "fgfm", "install", "revert")
    assert manager.verdict("a3", real(RETEST + 60))[0] == "rolled-back"


def test_another_install_after_a_rollback_is_welcome(lab):
    """Only the same two scripts are remembered."""
    manager, agent = lab.connected(faketime=FAST)
    manager.behave("auth.answer=off")
    manager.install("b1", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    agent.ask("execute", "fgfm", "install", "revert")
    manager.well_behaved()
    assert manager.verdict("b1", real(RETEST))[0] == "rolled-back"
    other = 'config system global\n    set hostname "other"\nend\n'
    assert manager.install_and_wait("b2", other, HARMLESS_UNSET)[0] == "committed"


def test_manager_back_within_the_time(lab):
    """The link is away for a while during the test and comes back: committed, not rolled back."""
    manager, agent = lab.connected(faketime=FAST)
    manager.behave("at.results-done=rst*1", "at.accept=rst")
    mark = manager.mark()
    manager.install("w1", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    lab.link("down")
    manager.wait("session_closed", since=mark)
    manager.well_behaved()
    lab.link("up")
    assert manager.verdict("w1", real(200))[0] == "committed"
    assert 'set hostname "renamed"' in agent.saved.read_text()


@pytest.mark.parametrize("phase", ["stream-1-half", "stream-1", "stream-2-half"])
def test_cut_before_the_scripts_are_whole(lab, phase):
    """The connection breaks while the scripts come: nothing has begun."""
    manager, agent = lab.connected()
    saved, mark = agent.saved.read_bytes(), manager.mark()
    manager.behave(f"at.{phase}=rst*1")
    manager.install("c1", HARMLESS_SET, HARMLESS_UNSET)
    manager.ready(since=manager.wait("session_closed", since=mark)["seq"])
    assert agent.saved.read_bytes() == saved and not agent.journal.exists()
    assert agent.install_state() == expect.IDLE


@pytest.mark.parametrize("phase", ["stream-2", "result-line-1", "results-done"])
@pytest.mark.parametrize("how", ["close", "rst"])
def test_cut_after_the_scripts_are_whole(lab, phase, how):
    """The connection breaks later: the install goes on, and the next session brings a receipt."""
    manager, agent = lab.connected(faketime=FAST)
    manager.behave(f"at.{phase}={how}*1")
    verdict, _text = manager.install_and_wait("d1", HARMLESS_SET, HARMLESS_UNSET, timeout=real(200))
    assert verdict == "committed"
    assert 'set hostname "renamed"' in agent.saved.read_text()
    assert manager.errors() == []


def test_test_session_has_to_be_with_the_same_manager(lab, pki):
    """Another manager, even a good one that is not trusted, does not pass the connection test."""
    manager, agent = lab.connected(faketime=FAST)
    saved = agent.saved.read_bytes()
    manager.use_certificate(pki, "manager-02", "FMG-VM0000000002")
    manager.install("m1", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_log(expect.log("not in list", sn="FMG-VM0000000002"))
    agent.wait_install_state(expect.TESTING)
    assert agent.saved.read_bytes() == saved
    manager.use_certificate(pki, "manager", "FMG-VM0000000001")
    assert manager.verdict("m1", real(300))[0] == "committed"


@pytest.mark.parametrize("line", ['set fmg "192.168.48.99"', "set fmg-source-ip 10.1.2.3", "set type none",
                                  'set fmg "nobody.invalid"'], ids=["dead-manager", "foreign-source", "none", "no-name"])
def test_central_management_that_reaches_nobody(lab, line):
    """The test is of the new settings: an install after which nobody could be dialled is not committed."""
    manager, agent = lab.connected(faketime=FAST)
    saved = agent.saved.read_bytes()
    script = f"config system central-management\n    {line}\nend\n"
    unset = f'config system central-management\n    set type fortimanager\n    set fmg "{MANAGER_IP}"\n' \
            "    unset fmg-source-ip\nend\n"
    manager.install("n1", script, unset)
    agent.wait_install_state(expect.TESTING)
    verdict, _text = manager.verdict("n1", real(ROLLBACK + 120))
    assert verdict == "rolled-back"
    assert_as_before(lab, agent, saved)
