"""The agent as it is shipped, killed after its n-th system call of an install, or with its n-th one failing.

The whole matrix is test/fault/matrix, without protocol and manager; here they are there, and so are some of its points.
With FAULTS=N in the environment every N-th call is one.
"""

import contextlib
import errno
import os
import platform
import zlib

import pytest

import expect
from harness import DEVICE_SERIAL, FAST, FGFMD, REAL_TIME, ROOT, ControlError, real
from netns import Ended, poll
from test_crash import NEW_NAME, fresh_state, hostname

SUPERVISE = os.environ.get("SUPERVISE", str(ROOT / "build" / "fault" / "supervise"))
POINTS = 12 if "FAULTS" not in os.environ else None

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="test/fault/trace.c knows x86-64 only")

SET = ('config system global\n    set hostname "renamed"\nend\n'
       'config system interface\n    edit "lan1"\n        set ip 10.77.0.1 255.255.255.0\n    next\nend\n'
       "config router static\n    edit 9\n        set dst 10.9.9.0 255.255.255.0\n        set blackhole enable\n"
       "    next\nend\n")
UNSET = f'config system global\n    set hostname "{DEVICE_SERIAL}"\nend\nconfig router static\n    delete 9\nend\n'
BASE = 'config system interface\n    edit "lan1"\n    next\nend\n'

NEW_ADDRESS, NEW_ROUTE = "10.77.0.1/24", "blackhole 10.9.9.0/24"
BY_HAND_ADDRESS, BY_HAND_ROUTE = "10.78.0.1/24", "blackhole 10.79.0.0/16"


def points(total):
    """The calls to strike, of 1 to `total`; with another build another choice."""
    stride = int(os.environ["FAULTS"]) if POINTS is None else max(1, total // POINTS)
    with open(FGFMD, "rb") as program:
        offset = zlib.crc32(program.read()) % stride
    print(f"every {stride}. of {total}, from {offset + 1}")
    return range(offset + 1, total + 1, stride)


def fresh_system(lab):
    """As before an install, with something put there by hand."""
    ip = lab.device_ns.ip
    ip("link", "add", "lan1", "type", "veth", "peer", "name", "lan1p", check=False)
    ip("link", "set", "lan1", "up")
    ip("address", "flush", "dev", "lan1")
    ip("route", "flush", "type", "blackhole", check=False)
    ip("address", "add", BY_HAND_ADDRESS, "dev", "lan1")
    ip("route", "add", *BY_HAND_ROUTE.split())


def check_system(lab, saved):
    """Routes and addresses are those of the saved configuration and those made by hand.

    What the system has refused of an install is not in its configuration, so it is asked for piece by piece.
    """
    routes = lab.device_ns.routes()
    assert any(r.startswith(NEW_ROUTE) for r in routes) == ("10.9.9.0" in saved), routes
    assert any(r.startswith(BY_HAND_ROUTE) for r in routes), routes
    addresses = lab.device_ns.addresses("lan1")
    assert addresses == {BY_HAND_ADDRESS} | ({NEW_ADDRESS} if "10.77.0.1" in saved else set())


def check_rest(lab, manager, agent, since):
    """Dialled, registered, at rest; file, memory and system agree. Returns the saved configuration."""
    manager.ready(timeout=real(400), since=since)
    agent.wait_install_state(expect.IDLE, timeout=real(400))
    poll(lambda: not agent.journal.exists(), real(100), "the journal to go")
    saved = agent.saved.read_text()
    assert hostname(saved) in (DEVICE_SERIAL, NEW_NAME)
    assert hostname(agent.ask("show", "system", "global")) == hostname(saved)
    check_system(lab, saved)
    return saved


def is_over(manager, agent, since, install_id):
    """The agent has ended, or the manager knows how the install did."""
    return not agent.process.alive() or any(
        e["event"] in ("result", "receipt", "install_refused") for e in manager.events(since=since,
                                                                                       install_id=install_id))


def run_story(lab, manager, agent, story, deed, number, error=0):
    """One install under supervision, until it is over or the agent is.

    Returns the manager's mark before it, and whether the new configuration may be there in the end: not once the
    agent has taken an order to revert.
    """
    assert os.path.exists(SUPERVISE), f"{SUPERVISE} does not exist: run make build/fault/supervise first"
    report = lab.folder / "report"
    report.unlink(missing_ok=True)
    fresh_state(agent)
    agent.configure(more=BASE)
    fresh_system(lab)
    manager.well_behaved()
    since = manager.mark()
    # after a test without an answer the next one comes in some seconds
    agent.start(FAST if story == "revert" else REAL_TIME, level="0",
                inner=[SUPERVISE, agent.state, report, deed, number, error])
    manager.ready(since=since)
    if story == "revert":
        manager.behave("auth.answer=off")
    may_stay = True
    install_id = f"{story}-{deed}-{number}"
    with contextlib.suppress(ControlError):
        manager.install(install_id, SET, UNSET)
    if story == "revert":
        with contextlib.suppress(Ended):
            poll(lambda: not agent.process.alive() or is_over(manager, agent, since, install_id) or
                 agent.install_state() == expect.TESTING, 10, "the test")
        may_stay = agent.ctl("execute", "fgfm", "install", "revert").returncode != 0
        poll(lambda: not agent.process.alive() or agent.install_state() in (expect.RETESTING, expect.IDLE), 10,
             "the way back")
        manager.well_behaved()
    poll(lambda: is_over(manager, agent, since, install_id), 15, "the end of the install or of the agent")
    return since, may_stay


def end_supervised(lab, agent):
    """Ends the agent, prints the point; what the supervisor counted: (calls, those that can fail)."""
    if agent.process.alive():
        agent.kill()
    agent.process.wait(5)
    said = (lab.folder / "report").read_text()
    print(said, end="")
    calls, spoilers, *_what = said.split()
    return int(calls), int(spoilers)


def recover(lab, manager, agent, may_stay):
    """Start again, and check."""
    assert hostname(agent.saved.read_text()) in (DEVICE_SERIAL, NEW_NAME)
    manager.well_behaved()
    since = manager.mark()
    agent.start(faketime=FAST, level="0")
    saved = check_rest(lab, manager, agent, since)
    assert may_stay or hostname(saved) == DEVICE_SERIAL
    agent.kill()


STORIES = pytest.mark.parametrize("story", ["commit", "revert"])


@STORIES
def test_killed_at_any_call(lab, story):
    """kill -9 after the n-th system call since the journal was made."""
    manager, agent = lab.manager(), lab.agent
    run_story(lab, manager, agent, story, "count", 0)
    calls, _ = end_supervised(lab, agent)
    assert calls > 100
    for number in points(calls):
        _since, may_stay = run_story(lab, manager, agent, story, "kill", number)
        end_supervised(lab, agent)
        recover(lab, manager, agent, may_stay)


@STORIES
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOBUFS], ids=["EIO", "ENOBUFS"])
def test_any_call_fails(lab, story, error):
    """The n-th call on files and netlink fails: the agent lives, and a start afterwards finds nothing to do."""
    manager, agent = lab.manager(), lab.agent
    run_story(lab, manager, agent, story, "count", 0)
    _, spoilers = end_supervised(lab, agent)
    assert spoilers > 20
    for number in points(spoilers):
        since, may_stay = run_story(lab, manager, agent, story, "fail", number, error)
        assert agent.process.alive()
        try:
            check_rest(lab, manager, agent, since)
        finally:
            end_supervised(lab, agent)
        recover(lab, manager, agent, may_stay)
