"""Scripts that the manager pushes: their output, their safety, their history."""

import pytest

import expect
from harness import DEVICE_SERIAL, FAST, HARMLESS_SET, MANAGER_SERIAL, REAL_TIME, move_wan1, real
from netns import poll


def push(manager, script_id, script, timeout=20, **options):
    """Pushes a script; returns (result, what was said with it, lines before it)."""
    since = manager.mark()
    manager.call("script", id=script_id, script=script, **options)
    result = manager.wait("script_result", timeout, since, script_id=script_id)
    lines = [e["line"] for e in manager.events("script_line", since, script_id=script_id)]
    return result["result"], result["rest"], lines[:-1]


def history(agent):
    return agent.ask_json("diagnose", "fgfm", "script-history")["scripts"]


def test_output_comes_back(lab):
    """What the commands print, and the reason and code of those that fail; the rest go on. Nothing is installed."""
    manager, agent = lab.connected()
    result, rest, lines = push(manager, "look", "get system status\nshow system global\nconfig no such\nend\n")
    assert result == "done" and rest == ""
    text = "\n".join(lines)
    assert DEVICE_SERIAL in text and 'set hostname' in text
    assert "Command fail. Return code -61" in lines
    assert agent.receipts() == [] and not agent.journal.exists()
    (entry,) = history(agent)
    assert (entry["id"], entry["user"], entry["result"]) == ("look", MANAGER_SERIAL, "done")
    assert (entry["commands"], entry["done"], entry["failed"]) == (4, 4, 2)
    assert "look" in agent.ask("diagnose", "fgfm", "script-history")
    assert manager.errors() == []


def test_compressed(lab):
    """The same with gzip both ways."""
    manager, _agent = lab.connected()
    result, _rest, lines = push(manager, "packed", "get system status\n" + "# filler\n" * 50, deflate=True)
    assert result == "done" and DEVICE_SERIAL in "\n".join(lines)
    assert manager.errors() == []


def test_a_change_is_an_install(lab):
    """Journaled, applied, tested with a fresh session, saved; the result ends the output."""
    manager, agent = lab.connected()
    mark = manager.mark()
    assert push(manager, "change", HARMLESS_SET)[0] == "committed"
    assert manager.ready(since=mark), "the connection test is a fresh session"
    assert 'set hostname "renamed"' in agent.saved.read_text()
    (receipt,) = agent.receipts()
    assert receipt["id"] == "script-change" and receipt["manager"] == MANAGER_SERIAL
    assert history(agent)[0]["result"] == "committed"
    assert not agent.journal.exists() and manager.errors() == []


def test_a_change_that_cuts_the_manager_off_is_rolled_back(lab):
    """900 seconds without a session: everything is back, the manager gets the receipt, the history has the end."""
    manager, agent = lab.connected(faketime=FAST)
    before = agent.saved.read_bytes()
    since = manager.mark()
    manager.call("script", id="cut", script=move_wan1("192.168.49.81"))
    assert manager.receipt("script-cut", real(1300), since)["verdict"] == "rolled-back"
    assert agent.saved.read_bytes() == before
    assert "192.168.48.81/24" in lab.device_ns.addresses("wan1")
    poll(lambda: history(agent)[0]["result"] == "rolled-back", 5, "the history's result")


def test_the_agent_killed_in_the_test(lab):
    """The install of a script goes on after a start as any other, and the history hears of it."""
    manager, agent = lab.connected(faketime=FAST)
    manager.behave("auth.answer=off")
    manager.call("script", id="killed", script=HARMLESS_SET)
    agent.wait_install_state(expect.TESTING)
    agent.kill()
    assert history(agent.start(faketime=FAST).wait_ready())[0]["result"] == "pending"
    manager.well_behaved()
    assert manager.receipt("script-killed", real(400))["verdict"] == "committed"
    assert history(agent)[0]["result"] == "committed"


def test_disconnect_stops_it(lab):
    """The session goes while output is coming: the rest does not run, and nothing has changed."""
    manager, agent = lab.connected(faketime=REAL_TIME)
    before = agent.saved.read_bytes()
    manager.behave("at.script-line-20=rst*1", "ack=off")
    manager.call("script", id="long", script="get system status\n" * 50_000 + HARMLESS_SET)
    poll(lambda: history(agent), 20, "the script's end in the history")
    (entry,) = history(agent)
    assert entry["result"] == "stopped" and entry["done"] < entry["commands"] == 50_003
    assert agent.saved.read_bytes() == before and agent.receipts() == []
    manager.well_behaved()
    manager.ready(since=manager.mark() - 1, timeout=20)


@pytest.mark.parametrize("script", ['config system global\nset hostname "open\nend\n', "flurb\n", "end\n"],
                         ids=["open-quote", "unknown-verb", "end-alone"])
def test_broken_script_is_refused_whole(lab, script):
    """As an install: nothing of it runs."""
    manager, agent = lab.connected()
    before = agent.saved.read_bytes()
    result, rest, lines = push(manager, "broken", HARMLESS_SET + script)
    assert result == "refused" and expect.search(r"script:\d+:\d+", rest) and lines == []
    assert agent.saved.read_bytes() == before and history(agent)[0]["result"] == "refused"


@pytest.mark.parametrize("command", [
    "execute central-mgmt register-device FMG-VM0000000009 secret", "execute fgfm install confirm",
    "execute restore config file", "execute backup config file", "execute revision restore 1",
    "diagnose fgfm trust-list"])
def test_commands_a_manager_may_not_give(lab, command):
    """-37 for each, and nothing happens."""
    manager, agent = lab.connected()
    result, _rest, lines = push(manager, "forbidden", command + "\n")
    assert result == "done" and lines[-1] == "Command fail. Return code -37"
    assert agent.trusted() == [MANAGER_SERIAL]


def test_bootstrap_options_are_out_of_reach(lab):
    """`config agent` is unknown to a script."""
    manager, _agent = lab.connected()
    _result, _rest, lines = push(manager, "agent", "config agent\n    set tcp-forward 22\nend\n")
    assert "Command fail. Return code -61" in lines


@pytest.mark.parametrize("setting", ["set allow-push-configuration disable", "set mode backup",
                                     "set schedule-script-restore disable"])
def test_settings_that_forbid_scripts(lab, setting):
    """What `system central-management` forbids is 403."""
    lab.agent.configure(central=f"    {setting}\n")
    manager, agent = lab.connected()
    manager.call("script", id="no", script="get system status\n")
    assert manager.wait("script_refused", script_id="no")["code"] == 403
    assert history(agent) == [] and manager.get_config()


def test_bad_ids(lab):
    """A script needs a name that is safe to keep."""
    manager, _agent = lab.connected()
    for bad in ("", "../x", "x" * 49):
        manager.call("script", id=bad, script="get system status\n")
        assert manager.wait("script_refused", script_id=bad)["code"] == 400


def test_while_an_install_is_pending(lab):
    """Looking is possible; a change is denied where it stands."""
    manager, agent = lab.connected(faketime=FAST)
    manager.behave("auth.answer=off")
    manager.install("p1", HARMLESS_SET, "")
    agent.wait_install_state(expect.TESTING)
    result, _rest, lines = push(manager, "two", 'get system status\nconfig system global\nset hostname "x"\nend\n')
    assert result == "done" and "Command fail. Return code -37" in lines
    manager.well_behaved()
    assert manager.verdict("p1", real(200))[0] == "committed"


def test_history_keeps_thirty(lab):
    """The newest thirty, over a restart."""
    manager, agent = lab.connected()
    for number in range(32):
        push(manager, f"n{number}", "get system status\n")
    names = [f"n{number}" for number in range(31, 1, -1)]
    assert [entry["id"] for entry in history(agent)] == names
    agent.restart().wait_ready()
    assert [entry["id"] for entry in history(agent)] == names
