"""Saved configurations: listed, compared, and brought back as an install of the device's own."""

import expect
from harness import DEVICE_IP, DEVICE_SERIAL, FAST, HARMLESS_UNSET, move_wan1, real
from netns import poll


def name_it(agent, name):
    """A change on the device, which makes a revision; number 1 is what the agent found at its first start."""
    done = agent.script(f'config system global\n    set hostname "{name}"\nend\n')
    assert done.returncode == 0, done.stderr


def numbers(agent):
    return [revision["number"] for revision in agent.ask_json("execute", "revision", "list")["revisions"]]


def restore(agent, number):
    """Begins it; returns what the screen says."""
    return agent.ask("execute", "revision", "restore", str(number))


def test_list_and_diff(lab):
    """Newest first, ten at most, with who; a difference as commands."""
    agent = lab.agent.start().wait_ready()
    for i in range(12):
        name_it(agent, f"name{i}")
    assert numbers(agent) == list(range(13, 3, -1))
    listed = agent.ask("execute", "revision", "list")
    assert expect.search(r"(?m)^ *13 .*uid 0 .*\(the saved one\)$", listed)
    assert 'set hostname "name5"' in agent.ask("execute", "revision", "diff", "13", "7")
    assert 'set hostname "name11"' in agent.ask("execute", "revision", "diff", "7")
    assert agent.ask("execute", "revision", "diff", "13") == "# no difference\n"
    done = agent.ctl("execute", "revision", "diff", "1")
    assert done.returncode == 1 and expect.command_fail(-3) in done.stderr and "revision 1" in done.stderr


def test_restore_is_proven_by_a_session(lab):
    """Applied, tested with a fresh session, saved, a revision of its own. No manager is told: none has sent it."""
    manager, agent = lab.connected()
    name_it(agent, "one")
    name_it(agent, "two")
    mark = manager.mark()
    said = restore(agent, 2)
    assert "fresh session" in said and "execute fgfm install revert" in said
    manager.ready(since=mark)
    agent.wait_install_state(expect.IDLE)
    assert 'set hostname "one"' in agent.saved.read_text()
    assert 'set hostname "one"' in manager.get_config()
    assert numbers(agent)[0] == 4
    receipt = agent.receipts()[-1]
    assert expect.verdict(receipt) == "committed" and receipt["manager"] == ""
    dry = receipt["dry-run"]
    assert dry["back"] and dry["reversible"] == dry["commands"] > 0
    # one exchange with the manager later there is still nothing for it
    assert manager.install_and_wait("after", HARMLESS_UNSET, "")[0] == "committed"
    assert manager.events("receipt") == [] and manager.errors() == []


def test_restore_that_cuts_the_device_off(lab):
    """A configuration that once was is no better than any other: rolled back after 900 s, and may be tried again."""
    manager, agent = lab.connected(faketime=FAST)
    assert agent.script(move_wan1("192.168.49.81")).returncode == 0
    assert agent.script(move_wan1(DEVICE_IP)).returncode == 0
    agent.wait_status(expect.UP)
    saved = agent.saved.read_bytes()
    for _ in range(2):
        restore(agent, 2)
        agent.wait_install_state(expect.TESTING)
        assert "192.168.49.81/24" in lab.device_ns.addresses("wan1")
        agent.wait_install_state(expect.IDLE, timeout=real(900 + 300))
        receipt = agent.receipts()[-1]
        assert expect.verdict(receipt) == "rolled-back" and "within 900 s" in expect.cause(receipt)
        assert agent.saved.read_bytes() == saved
        assert lab.device_ns.addresses("wan1") & {f"{DEVICE_IP}/24", "192.168.49.81/24"} == {f"{DEVICE_IP}/24"}
    assert manager.events("receipt") == []


def lonely(lab, tmp_path):
    """An agent that no manager is configured for, and that may reboot; returns it and the mark of a reboot."""
    mark = tmp_path / "rebooted"
    lab.agent.set(reboot_command=f'"/usr/bin/touch {mark}"')
    lab.agent.configure(fmg=(), more="config system dm\n    set rollback-allow-reboot enable\nend\n")
    agent = lab.agent.start(faketime=FAST).wait_ready()
    name_it(agent, "one")
    name_it(agent, "two")
    return agent, mark


def test_without_a_manager_the_operator_confirms(lab, tmp_path):
    """Nothing can be proven: it stands when it is confirmed."""
    agent, _mark = lonely(lab, tmp_path)
    said = restore(agent, 2)
    assert "execute fgfm install confirm" in said and "No manager" in said
    agent.wait_install_state(expect.TESTING)
    pending = agent.ask_json("diagnose", "fgfm", "install-session")
    assert pending["awaits-operator"] is True and pending["manager"] == ""
    assert 'set hostname "two"' in agent.saved.read_text()
    done = agent.ctl("execute", "revision", "restore", "3")
    assert done.returncode == 1 and expect.command_fail(-37) in done.stderr and "pending" in done.stderr
    assert "kept" in agent.ask("execute", "fgfm", "install", "confirm")
    assert 'set hostname "one"' in agent.saved.read_text() and not agent.journal.exists()
    done = agent.ctl("execute", "fgfm", "install", "confirm")
    assert done.returncode == 1 and "no install is pending" in done.stderr


def test_without_a_manager_and_not_confirmed(lab, tmp_path):
    """Rolled back after 900 s, at once and without a reboot: there is nobody to come back for."""
    agent, mark = lonely(lab, tmp_path)
    restore(agent, 2)
    agent.wait_install_state(expect.TESTING)
    agent.wait_install_state(expect.IDLE, timeout=real(900))
    assert 'set hostname "two"' in agent.saved.read_text()
    assert 'set hostname "two"' in agent.ask("show", "system", "global")
    receipt = agent.receipts()[-1]
    assert expect.verdict(receipt) == "rolled-back" and "not confirmed" in expect.cause(receipt)
    assert not mark.exists()


def test_restore_goes_on_after_a_kill(lab):
    """As an install of a manager's: the journal has it."""
    manager, agent = lab.connected(faketime=FAST)
    name_it(agent, "one")
    name_it(agent, "two")
    manager.behave("auth.answer=off")
    restore(agent, 2)
    agent.wait_install_state(expect.TESTING)
    agent.kill()
    manager.well_behaved()
    mark = manager.mark()
    agent.restart(faketime=FAST)
    manager.ready(since=mark, timeout=real(120))
    agent.wait_install_state(expect.IDLE, timeout=real(200))
    assert 'set hostname "one"' in agent.saved.read_text()
    assert expect.verdict(agent.receipts()[-1]) == "committed"


def test_revision_of_an_older_schema(lab):
    """What no schema knows any more is named and left out; the rest comes back."""
    agent = lab.agent
    schema = agent.folder / "schema.d"
    schema.mkdir()
    table = '{"tables": [{"path": "box colour", "attributes": [{"name": "shade", "type": "string"}]}]}'
    (schema / "box.json").write_text(table)
    agent.set(schema_directory=f'"{schema}"')
    agent.configure(fmg=())
    agent.start().wait_ready()
    assert agent.script('config box colour\n    set shade "green"\nend\n').returncode == 0
    name_it(agent, "two")
    assert agent.script("config box colour\n    unset shade\nend\n").returncode == 0
    agent.stop()
    (schema / "box.json").unlink()
    agent.start().wait_ready()
    said = restore(agent, 2)
    assert "left out" in said and "before 'box'" in said
    agent.wait_install_state(expect.TESTING)
    agent.ask("execute", "fgfm", "install", "confirm")
    text = agent.saved.read_text()
    assert f'set hostname "{DEVICE_SERIAL}"' in text and "colour" not in text
    poll(lambda: not agent.journal.exists(), 5, "the journal to go")
