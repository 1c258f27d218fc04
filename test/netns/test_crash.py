"""The agent is killed in every state of an install, and at every write; then it starts again."""

import shutil

import pytest

import expect
from harness import (DEVICE_SERIAL, FAST, HARMLESS_SET, HARMLESS_UNSET, MANAGER_SERIAL,
                     REAL_TIME, ROUTES, ROUTES_SET, ROUTES_UNSET, SLOW_NETLINK, ControlError, failing_syscall, real)
from netns import Ended, poll

NEW_NAME = "renamed"


def blackholes(lab):
    return [route for route in lab.device_ns.routes() if route.startswith("blackhole 10.9.")]


def hostname(text):
    """The host name a configuration text sets."""
    found = expect.search(r'set hostname "?([^"\s]+)"?', text)
    return found.group(1) if found else None


def assert_settled(manager, agent, since, timeout=10.0):
    """Back in IDLE, dialled, no journal; file and memory agree. Returns the host name that won."""
    manager.ready(timeout=timeout, since=since)
    agent.wait_install_state(expect.IDLE, timeout=timeout)
    poll(lambda: not agent.journal.exists(), timeout, "the journal to go")
    name = hostname(agent.saved.read_text())
    assert name in (DEVICE_SERIAL, NEW_NAME)
    assert hostname(manager.get_config()) == name
    return name


def test_killed_while_applying(lab):
    """APPLYING: the install itself may be what killed it, so it is reverted."""
    manager, agent = lab.connected(faketime=REAL_TIME, prefix=SLOW_NETLINK)
    manager.install("k1", ROUTES_SET, ROUTES_UNSET)
    poll(lambda: blackholes(lab), 10, "the first routes")
    assert agent.journal.exists()
    agent.kill()
    assert 0 < len(blackholes(lab)) < ROUTES, "killed in the middle"
    mark = manager.mark()
    agent.restart(faketime=FAST)
    assert assert_settled(manager, agent, mark) == DEVICE_SERIAL
    receipt = manager.receipt("k1", since=mark)
    assert expect.verdict(receipt) == "rolled-back" and "died while applying" in expect.cause(receipt)
    assert blackholes(lab) == [] and "10.9." not in manager.get_config()


def begin_testing(manager, agent, install_id="k2"):
    """An install that stays in TESTING because no fresh session gets an answer."""
    manager.behave("auth.answer=off")
    manager.install(install_id, HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)


def test_killed_while_testing(lab):
    """TESTING: the change is made again in memory and tested for what is left of the time; here it passes."""
    manager, agent = lab.connected(faketime=FAST)
    begin_testing(manager, agent)
    agent.kill()
    manager.well_behaved()
    mark = manager.mark()
    agent.restart(faketime=FAST)
    assert assert_settled(manager, agent, mark, real(200)) == NEW_NAME
    assert manager.verdict("k2", since=mark)[0] == "committed"


def test_time_left_is_not_won_back_by_a_restart(lab):
    """The 900 s go on counting over a restart: rolled back well before another full term."""
    manager, agent = lab.connected(faketime=FAST)
    begin_testing(manager, agent)
    poll(lambda: expect.find(agent.ask_json("diagnose", "fgfm", "install-session"), "time_left", "left",
                             "countdown", "left_s", "time_left_s", "remaining", "remaining_s") < 600,
         real(400), "a third of the time to pass")
    agent.kill()
    mark = manager.mark()
    agent.restart(faketime=FAST)
    agent.wait_install_state(expect.RETESTING, expect.IDLE, timeout=real(600, slack=2))
    manager.well_behaved()
    assert assert_settled(manager, agent, mark, real(300)) == DEVICE_SERIAL


def test_killed_four_times_while_testing(lab):
    """More than three starts of one test: the install is given up."""
    manager, agent = lab.connected(faketime=FAST)
    begin_testing(manager, agent)
    for _ in range(3):
        agent.restart(faketime=FAST)
        agent.wait_install_state(expect.TESTING)
    agent.restart(faketime=FAST)
    agent.wait_install_state(expect.REVERTING, expect.RETESTING, expect.IDLE)
    mark = manager.mark()
    manager.well_behaved()
    assert assert_settled(manager, agent, mark, real(300)) == DEVICE_SERIAL
    assert manager.verdict("k2", since=mark)[0] == "rolled-back"


def test_killed_while_reverting(lab):
    """REVERTING: reverted once more, to the end."""
    manager, agent = lab.connected(faketime=REAL_TIME, prefix=SLOW_NETLINK)
    manager.behave("auth.answer=off")
    manager.install("k3", ROUTES_SET, ROUTES_UNSET)
    agent.wait_install_state(expect.TESTING, timeout=30)
    assert len(blackholes(lab)) == ROUTES
    agent.ask("execute", "fgfm", "install", "revert")
    poll(lambda: len(blackholes(lab)) < ROUTES, 10, "the first routes to go")
    agent.kill()
    assert 0 < len(blackholes(lab)) < ROUTES, "killed in the middle"
    manager.well_behaved()
    mark = manager.mark()
    agent.restart(faketime=FAST)
    assert assert_settled(manager, agent, mark, real(300)) == DEVICE_SERIAL
    assert manager.verdict("k3", since=mark)[0] == "rolled-back"
    assert blackholes(lab) == []


def test_killed_while_retesting(lab):
    """RETESTING: everything is back already; it dials on and reports."""
    manager, agent = lab.connected(faketime=FAST)
    begin_testing(manager, agent, "k4")
    agent.ask("execute", "fgfm", "install", "revert")
    agent.wait_install_state(expect.RETESTING)
    agent.kill()
    manager.well_behaved()
    mark = manager.mark()
    agent.restart(faketime=FAST)
    assert assert_settled(manager, agent, mark, real(300)) == DEVICE_SERIAL
    assert manager.verdict("k4", since=mark)[0] == "rolled-back"


def test_damaged_journal(lab):
    """A journal that makes no sense is kept aside, told, and the saved configuration stands."""
    agent = lab.agent
    agent.journal.write_bytes(b"\x00\xffnot a journal\n" * 10)
    manager, _ = lab.connected()
    assert not agent.journal.exists() and list(agent.state.glob("install.journal*.corrupt*"))
    poll(lambda: any("journal damaged" in expect.cause(r) for r in agent.receipts()), 5, "the receipt")
    assert agent.install_state() == expect.IDLE
    assert manager.install_and_wait("after", HARMLESS_SET, HARMLESS_UNSET)[0] == "committed"


def test_damaged_saved_configuration(lab):
    """A saved file that does not parse is kept aside, and the newest revision that does is loaded."""
    manager, agent = lab.connected()
    assert manager.install_and_wait("one", HARMLESS_SET, HARMLESS_UNSET)[0] == "committed"
    agent.stop()
    agent.saved.write_text('config system global\n    set hostname "')
    mark = manager.mark()
    agent.restart()
    manager.ready(since=mark)
    assert list(agent.state.glob("sys_config.conf*.corrupt*"))
    assert hostname(manager.get_config()) in (NEW_NAME, DEVICE_SERIAL)


@pytest.mark.parametrize("state", ["idle", "unregistered"])
def test_killed_without_an_install(lab, state):
    """kill -9 at rest: nothing to recover, and the same manager again."""
    manager = lab.manager(register=state == "idle")
    agent = lab.agent.start()
    listed = [MANAGER_SERIAL] if state == "idle" else []
    manager.wait("ready")
    poll(lambda: agent.trusted() == listed, 5, "the trusted list")
    agent.kill()
    mark = manager.mark()
    agent.restart()
    manager.wait("ready", since=mark)
    agent.wait_status(expect.UP)
    assert agent.trusted() == listed
    assert not agent.journal.exists()


def fresh_state(agent):
    """The state of a machine that has never run."""
    for entry in agent.state.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    agent.configure()


def try_once(lab, manager, agent, syscall, fault, number):
    """Start with one fault armed, install. False when the fault never struck."""
    fresh_state(agent)
    mark = manager.mark()
    try:
        agent.start(REAL_TIME, failing_syscall(lab.folder, syscall, fault, number))
    except Ended:
        return True
    poll(lambda: not agent.process.alive() or manager.events("ready", since=mark, registered=True), 10,
         "a session or the end")
    try:
        manager.install(f"n{number}", HARMLESS_SET, HARMLESS_UNSET)
    except ControlError:
        # the session went with the agent
        poll(lambda: not agent.process.alive(), 5, "the end")
    poll(lambda: not agent.process.alive() or manager.events("channel_closed", since=mark), 10,
         "the verdict or the end")
    return not agent.process.alive()


@pytest.mark.parametrize("syscall", ["fsync", "rename,renameat,renameat2"], ids=["fsync", "rename"])
def test_killed_at_every_write(lab, syscall):
    """kill -9 at the N-th fsync or rename, for every N of a registration and an install.

    Whatever the moment: the saved file is a whole old or a whole new one, and the agent comes back to rest
    with its manager.
    """
    manager = lab.manager()
    agent = lab.agent
    struck = 0
    for number in range(1, 200):
        if not try_once(lab, manager, agent, syscall, "signal=KILL", number):
            break
        struck += 1
        assert hostname(agent.saved.read_text()) in (DEVICE_SERIAL, NEW_NAME)
        mark = manager.mark()
        agent.restart(faketime=FAST)
        assert_settled(manager, agent, mark, real(400))
        agent.kill()
    assert struck >= 4, "the fault has to meet the trusted list, the journal and the save at least"


@pytest.mark.parametrize("syscall, error", [("fsync", "EIO"), ("rename,renameat,renameat2", "ENOSPC")],
                         ids=["fsync", "rename"])
def test_error_at_every_write(lab, syscall, error):
    """The N-th fsync or rename fails, for every N: the agent lives, and file and memory agree."""
    manager = lab.manager()
    agent = lab.agent
    for number in range(1, 200):
        struck = try_once_failing(lab, manager, agent, syscall, error, number)
        agent.kill()
        if not struck:
            break
    assert number > 4, "the fault has to meet the trusted list, the journal and the save at least"


def try_once_failing(lab, manager, agent, syscall, error, number):
    """One error; afterwards everything has to be consistent. False when it never struck."""
    fresh_state(agent)
    mark = manager.mark()
    agent.start(REAL_TIME, failing_syscall(lab.folder, syscall, f"error={error}", number))
    manager.wait("ready", since=mark)
    agent.wait_ready()
    manager.install(f"e{number}", HARMLESS_SET, HARMLESS_UNSET)
    poll(lambda: [e for name in ("install_refused", "result", "receipt") for e in manager.events(name, since=mark)],
         15, "an outcome")
    agent.wait_install_state(expect.IDLE)
    assert agent.process.alive()
    assert hostname(agent.saved.read_text()) == hostname(agent.ask("show", "system", "global"))
    return "INJECTED" in (lab.folder / "strace.log").read_text()
