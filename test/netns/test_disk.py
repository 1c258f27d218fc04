"""A state directory that is full or read-only, at each of the agent's writes."""

import contextlib
import functools

import pytest

import expect
from harness import DEVICE_SERIAL, FAST, HARMLESS_SET, HARMLESS_UNSET, MANAGER_SERIAL, real
from netns import poll, run


@contextlib.contextmanager
def unwritable(lab, folder, how):
    """For the time of the block nothing can be written."""
    if how == "full":
        filler = lab.fill(folder)
        restore = filler.unlink
    else:
        run("mount", "-o", "remount,ro", folder)
        restore = functools.partial(run, "mount", "-o", "remount,rw", folder)
    try:
        yield
    finally:
        restore()


# While an install is on trial the journal is open for writing, and the kernel makes no such filesystem
# read-only; for those states test_crash.py has every write fail instead.
BOTH = pytest.mark.parametrize("how", ["full", "read-only"])


@BOTH
def test_registration_needs_the_disk(lab, how):
    """The trusted list cannot be written: the session stays unprivileged, until it can."""
    state = lab.small_state()
    manager = lab.manager()
    agent = lab.agent
    with unwritable(lab, state, how):
        agent.start()
        manager.wait("ready")
        manager.install("d1", HARMLESS_SET, HARMLESS_UNSET)
        assert manager.wait("install_refused")["code"] == 401
        assert agent.trusted() == []
    mark = manager.mark()
    manager.call("drop")
    manager.ready(since=mark)
    poll(lambda: agent.trusted() == [MANAGER_SERIAL], 5, "the trusted list entry")
    assert manager.install_and_wait("d2", HARMLESS_SET, HARMLESS_UNSET)[0] == "committed"


@BOTH
def test_install_without_a_journal_does_not_begin(lab, how):
    """The journal cannot be written: refused, nothing changed."""
    state = lab.small_state()
    manager, agent = lab.connected()
    with unwritable(lab, state, how):
        verdict, _text = manager.install_and_wait("d1", HARMLESS_SET, HARMLESS_UNSET)
        assert verdict == "refused"
        assert DEVICE_SERIAL in agent.ask("show", "system", "global")
        assert agent.install_state() == expect.IDLE
    assert not agent.journal.exists()
    assert manager.install_and_wait("d2", HARMLESS_SET, HARMLESS_UNSET)[0] == "committed"


def test_save_that_fails_is_rolled_back(lab):
    """The disk fills between journal and save: rolled back, cause `save failed`."""
    state = lab.small_state()
    manager, agent = lab.connected(faketime=FAST)
    saved = agent.saved.read_bytes()
    manager.behave("auth.answer=off")
    manager.install("d1", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    with unwritable(lab, state, "full"):
        manager.behave("auth.answer=on")
        agent.wait_install_state(expect.RETESTING, expect.IDLE, timeout=real(200))
        assert agent.saved.read_bytes() == saved
        assert DEVICE_SERIAL in agent.ask("show", "system", "global")
    verdict, text = manager.verdict("d1", real(400))
    assert verdict == "rolled-back" and "save failed" in text
    agent.wait_install_state(expect.IDLE)
    assert agent.saved.read_bytes() == saved


def test_revert_does_not_need_the_disk(lab):
    """A failed write stops no revert."""
    state = lab.small_state()
    manager, agent = lab.connected(faketime=FAST)
    manager.behave("auth.answer=off")
    manager.install("d1", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    with unwritable(lab, state, "full"):
        agent.ctl("execute", "fgfm", "install", "revert")
        poll(lambda: DEVICE_SERIAL in agent.ask("show", "system", "global"), 5, "the old name")
    manager.well_behaved()
    agent.wait_install_state(expect.IDLE, timeout=real(400))
    assert agent.process.alive()


@BOTH
def test_local_change_fails_whole(lab, how):
    """A change on the device that cannot be saved fails, and is not kept in memory either."""
    state = lab.small_state()
    _manager, agent = lab.connected()
    with unwritable(lab, state, how):
        done = agent.script('config system global\nset hostname "mine"\nend\n')
        assert done.returncode == 1
        assert "mine" not in agent.ask("show", "system", "global")
    assert "mine" not in agent.saved.read_text()


@BOTH
def test_start_without_a_writable_disk(lab, how):
    """The agent comes up and reaches its manager all the same."""
    state = lab.small_state()
    manager, agent = lab.connected()
    agent.kill()
    mark = manager.mark()
    with unwritable(lab, state, how):
        agent.restart()
        manager.ready(since=mark)
        assert agent.trusted() == [MANAGER_SERIAL]


def test_nothing_is_left_behind_by_failed_writes(lab):
    """Temporary files of writes that failed are removed."""
    state = lab.small_state()
    manager, agent = lab.connected()
    before = {p.name for p in state.iterdir()}
    with unwritable(lab, state, "full"):
        manager.install_and_wait("d1", HARMLESS_SET, HARMLESS_UNSET)
        agent.script('config system global\nset hostname "mine"\nend\n')
    assert {p.name for p in state.iterdir()} - before <= {"receipts.jsonl"}
