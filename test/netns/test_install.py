"""Installs that end well, and installs that are refused."""

import pytest

import expect
from harness import (DEVICE_SERIAL, FAST, HARMLESS_SET, HARMLESS_UNSET, MANAGER_SERIAL, REAL_TIME, ROUTES_SET,
                     ROUTES_UNSET, SLOW_NETLINK, move_wan1, real)
from netns import poll


def test_committed(lab):
    """A harmless install: a line per command, a fresh session, the configuration saved, a revision kept."""
    manager, agent = lab.connected()
    mark = manager.mark()
    verdict, _text = manager.install_and_wait("i1", HARMLESS_SET, HARMLESS_UNSET)
    assert verdict == "committed"
    assert manager.result_lines("i1") == [(0, "config system global"), (0, 'set hostname "renamed"'), (0, "end")]
    assert manager.ready(since=mark), "the connection test is a fresh session"
    assert 'set hostname "renamed"' in agent.saved.read_text()
    assert not agent.journal.exists() and agent.wait_install_state(expect.IDLE)
    assert list((agent.state / "revisions").iterdir())
    assert 'set hostname "renamed"' in manager.get_config()
    assert manager.errors() == []


def test_address_change_that_keeps_the_manager_in_reach(lab):
    """wan1 gets another address in the same network: a new session from there, committed."""
    manager, _agent = lab.connected()
    mark = manager.mark()
    verdict, _text = manager.install_and_wait("i2", move_wan1("192.168.48.82"), move_wan1("192.168.48.81"))
    assert verdict == "committed"
    assert manager.wait("accept", since=mark)["peer"] == "192.168.48.82"
    assert lab.device_ns.addresses("wan1") & {"192.168.48.81/24", "192.168.48.82/24"} == {"192.168.48.82/24"}


def test_failing_commands_do_not_stop_the_rest(lab):
    """A failing command is reported with its code; those after it run; the install is committed."""
    manager, agent = lab.connected()
    script = ("config system global\n    set colour blue\n    set hostname \"renamed\"\nend\n"
              "config system nonsense\nend\n")
    assert manager.install_and_wait("i3", script, HARMLESS_UNSET)[0] == "committed"
    codes = manager.result_lines("i3")
    assert codes[:4] == [(0, "config system global"), (-61, "set colour blue"), (0, 'set hostname "renamed"'),
                         (0, "end")]
    assert codes[4] == (-61, "config system nonsense")
    assert 'set hostname "renamed"' in agent.saved.read_text()
    assert "-61" in str(agent.receipts()[-1])


@pytest.mark.parametrize("script", [
    'config system global\nset hostname "open\nend\n', "config system global\nset hostname x\n",
    "end\n", "config system global\nflurb x\nend\n", "config system interface\nedit \"wan1\"\nend\nend\n",
], ids=["open-quote", "no-end", "end-alone", "unknown-verb", "end-twice"])
def test_broken_script_is_refused_whole(lab, script):
    """Lexical and structural errors refuse the install before anything changes, with line and column."""
    manager, agent = lab.connected()
    before = agent.saved.read_bytes()
    verdict, text = manager.install_and_wait("i4", "config system global\nset hostname \"no\"\nend\n" + script, "")
    assert verdict == "refused"
    assert expect.search(r"\d+.*\d+", text.partition("reason=")[2]), text
    assert agent.saved.read_bytes() == before and not agent.journal.exists()
    assert manager.get_config() and 'hostname "no"' not in manager.get_config()
    assert len(manager.events("accept")) == 1
    assert manager.errors() == []


@pytest.mark.parametrize("command", [
    "execute central-mgmt register-device FMG-VM0000000009 secret", "execute fgfm install confirm",
    "execute fgfm install revert", "execute restore config file", "execute backup config file",
    "execute revision restore 1"])
def test_commands_a_manager_may_not_give(lab, command):
    """-37 for each, and nothing happens."""
    manager, _agent = lab.connected()
    manager.install_and_wait("i5", HARMLESS_SET + command + "\n", HARMLESS_UNSET)
    assert manager.result_lines("i5")[-1] == (-37, command)


def test_bootstrap_options_are_out_of_reach(lab):
    """`config agent` is unknown to an install."""
    manager, _agent = lab.connected()
    manager.install_and_wait("i6", "config agent\n    set tcp-forward 22\nend\n", "")
    assert manager.result_lines("i6")[0][0] == -61


def test_second_install_while_one_is_pending(lab):
    """409 for the second one; the first goes on as if nothing had been."""
    manager, agent = lab.connected(faketime=FAST)
    manager.behave("auth.answer=off")
    manager.install("p1", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    verdict, text = manager.install_and_wait("p2", 'config system global\nset hostname "two"\nend\n', "")
    assert verdict == "refused" and "409" in text
    manager.well_behaved()
    assert manager.verdict("p1", real(200))[0] == "committed"
    assert 'set hostname "renamed"' in agent.saved.read_text()


def test_local_change_while_an_install_is_pending(lab):
    """A change on the device is refused with the documented words."""
    manager, agent = lab.connected(faketime=FAST)
    manager.behave("auth.answer=off")
    manager.install("p1", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    done = agent.script('config system global\nset hostname "mine"\nend\n')
    assert done.returncode == 1 and "install pending" in done.stdout + done.stderr
    manager.well_behaved()
    assert manager.verdict("p1", real(200))[0] == "committed"


@pytest.mark.parametrize("rule", ["409", "close", "rst"])
def test_manager_that_refuses_a_second_session(lab, rule):
    """The old session is closed first and the manager dialled again: committed, told by a receipt."""
    manager, _agent = lab.connected(faketime=FAST)
    manager.behave(f"second_session={rule}")
    verdict, _text = manager.install_and_wait("s1", HARMLESS_SET, HARMLESS_UNSET, timeout=real(300))
    assert verdict == "committed"


def test_operator_confirms(lab):
    """`execute fgfm install confirm` on the device ends the wait for the manager."""
    manager, agent = lab.connected(faketime=FAST)
    manager.behave("auth.answer=off")
    manager.install("o1", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    agent.ask("execute", "fgfm", "install", "confirm")
    agent.wait_install_state(expect.IDLE)
    assert 'set hostname "renamed"' in agent.saved.read_text()


def test_operator_reverts(lab):
    """`execute fgfm install revert` puts everything back at once."""
    manager, agent = lab.connected(faketime=FAST)
    before = agent.saved.read_bytes()
    manager.behave("auth.answer=off")
    manager.install("o2", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    agent.ask("execute", "fgfm", "install", "revert")
    agent.wait_install_state(expect.RETESTING, expect.IDLE)
    assert agent.saved.read_bytes() == before
    assert DEVICE_SERIAL in agent.ask("show", "system", "global")
    manager.well_behaved()
    assert manager.verdict("o2", real(300))[0] == "rolled-back"


@pytest.mark.parametrize("setting, refused", [("set allow-push-configuration disable", "403"),
                                              ("set mode backup", "403")])
def test_settings_that_forbid_installs(lab, setting, refused):
    """What `system central-management` forbids is 403; retrieval still works."""
    lab.agent.configure(central=f"    {setting}\n")
    manager, agent = lab.connected()
    verdict, text = manager.install_and_wait("f1", HARMLESS_SET, HARMLESS_UNSET)
    assert verdict == "refused" and refused in text
    assert manager.get_config() and not agent.journal.exists()


def test_long_install(lab):
    """Many windows of script and of result lines, with every byte accounted for."""
    manager, _agent = lab.connected(manager=lab.manager(options=["--window", "4096"]))
    count = 1000
    script = "config system interface\n" + "".join(
        f'    edit "net{i}"\n        set alias "number {i}"\n    next\n' for i in range(count)) + "end\n"
    unset = "config system interface\n" + "".join(f'    delete "net{i}"\n' for i in range(count)) + "end\n"
    verdict, _text = manager.install_and_wait("l1", script, unset, timeout=30)
    assert verdict == "committed"
    lines = manager.result_lines("l1")
    assert len(lines) == 3 * count + 2 and {code for code, _ in lines} == {0}
    assert manager.errors() == []


def test_script_of_megabytes(lab):
    """Larger than any window, both ways; a result for each command, and the whole of it in the configuration."""
    # in real time: the result of a fast clock has a quarter of a second to get through
    manager, agent = lab.connected(faketime=REAL_TIME)
    count, filler = 8000, "x" * 240
    script = "config system interface\n" + "".join(
        f'    edit "net{i}"\n        set description "{i} {filler}"\n    next\n' for i in range(count)) + "end\n"
    unset = "config system interface\n" + "".join(f'    delete "net{i}"\n' for i in range(count)) + "end\n"
    assert len(script) > 2_000_000
    verdict, _text = manager.install_and_wait("m1", script, unset, timeout=120)
    assert verdict == "committed"
    result = manager.events("result", install_id="m1")[0]
    assert result["lines"] == 3 * count + 2
    assert manager.get_config().count(filler) == count
    dry = agent.receipts()[-1]["dry-run"]
    assert dry["back"] and dry["reversible"] == dry["commands"] == 3 * count + 2
    assert manager.errors() == []


def test_progress_is_shown(lab):
    """Phase and commands of an install that takes its time, from the device's side."""
    manager, agent = lab.connected(faketime=REAL_TIME, prefix=SLOW_NETLINK)
    manager.install("p1", ROUTES_SET, ROUTES_UNSET)

    def applying():
        shown = agent.ask_json("diagnose", "fgfm", "install-session")
        return shown if shown["state"] == "applying" and 0 < shown["done"] < shown["commands"] else None

    shown = poll(applying, 20, "an install half applied", every=0.05)
    assert shown["id"] == "p1" and shown["manager"] == MANAGER_SERIAL and shown["phase"] == "set script"
    assert shown["commands"] == len(ROUTES_SET.splitlines()) == shown["reversible-of"] == shown["reversible"]
    assert 0 < shown["left"] <= 900 and shown["failed"] == 0
    done = agent.ctl("execute", "fgfm", "install", "confirm")
    assert done.returncode == 1 and "p1 is applying (set script)" in done.stderr
    assert manager.verdict("p1", 60)[0] == "committed"


def verdict_that_waits(manager, agent, install_id):
    """An install that has its verdict, and a manager that does not acknowledge the receipt."""
    manager.behave("auth.answer=off")
    manager.install(install_id, HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    agent.ask("execute", "fgfm", "install", "revert")
    mark = manager.mark()
    manager.well_behaved()
    manager.behave("ack=off", "ack_timeout=1000")
    manager.receipt(install_id, real(300), since=mark)
    assert agent.receipts()[-1]["delivered"] is False


def test_killed_between_verdict_and_delivery(lab):
    """The receipt is on disk: the next start brings it."""
    manager, agent = lab.connected(faketime=FAST)
    verdict_that_waits(manager, agent, "k1")
    agent.kill()
    manager.well_behaved()
    mark = manager.mark()
    agent.restart(faketime=FAST)
    assert expect.verdict(manager.receipt("k1", real(300), since=mark)) == "rolled-back"
    poll(lambda: agent.receipts()[-1]["delivered"], 5, "the delivery to be noted")


def test_manager_that_never_acknowledges(lab):
    """Once in each session and not more; and never again once it is acknowledged."""
    manager, agent = lab.connected(faketime=FAST)
    verdict_that_waits(manager, agent, "n1")
    for _ in range(2):
        mark = manager.mark()
        manager.call("drop")
        manager.ready(real(120), since=mark)
        manager.receipt("n1", real(120), since=mark)
        manager.wait("keepalive", real(400), since=manager.mark())
        assert len(manager.events("receipt", since=mark)) == 1
        assert agent.receipts()[-1]["delivered"] is False
    mark = manager.mark()
    manager.well_behaved()
    manager.call("drop")
    manager.receipt("n1", real(120), since=mark)
    poll(lambda: agent.receipts()[-1]["delivered"], 5, "the delivery to be noted")
    mark = manager.mark()
    manager.call("drop")
    manager.ready(real(120), since=mark)
    manager.wait("keepalive", real(400), since=mark)
    assert manager.events("receipt", since=mark) == []


def test_receipt_is_delivered_until_it_is_acknowledged(lab):
    """A receipt whose acknowledgement was lost comes again with the next session."""
    manager, _agent = lab.connected(faketime=FAST)
    manager.behave("second_session=close", "at.receipt=rst*2")
    manager.install("r1", HARMLESS_SET, HARMLESS_UNSET)
    poll(lambda: len(manager.events("action", phase="receipt")) == 2, real(400), "two lost deliveries")
    mark = manager.events("action", phase="receipt")[-1]["seq"]
    assert expect.verdict(manager.receipt("r1", real(300), since=mark)) == "committed"
    mark = manager.mark()
    manager.call("drop")
    manager.ready(timeout=real(120), since=mark)
    manager.wait("keepalive", real(400), since=mark)
    assert manager.events("receipt", since=mark) == []
