"""Losing the manager and finding it again: silence, cuts, back-off, signals."""

import signal
import time

import pytest

import expect
from harness import FAST, MANAGER_IP, REAL_TIME, SPEED, TUNNEL_IP, real, timed
from netns import poll

QUICK = ["--keepalive-interval", "30", "--sock-timeout", "90"]
CUT_PHASES = ["accept", "client-hello", "handshake-done", "get-auth", "auth-reply", "get-ip", "ip-reply",
              "keepalive-1", "keepalive-2"]
BACK_OFF_LEFT = 6  # seconds until the back-off would dial by itself, long enough to be told from a dial at once


def refuse_for_a_while(manager, seconds):
    """Let the back-off grow. Nothing can be waited for here: the point is that time passes in vain."""
    manager.behave("at.accept=rst")
    manager.call("drop", how="rst")
    time.sleep(seconds)


def wait_far_from_a_dial(agent):
    """Until the next attempt of the back-off is far away: a dial before it has another cause."""
    poll(lambda: agent.ask_json("diagnose", "fgfm", "explain").get("next-attempt", 0) >= BACK_OFF_LEFT, 90,
         "an attempt that is far away", every=0.3)


@pytest.mark.parametrize("phase", CUT_PHASES)
@pytest.mark.parametrize("how", ["close", "rst"])
def test_cut_once_then_recovers(lab, phase, how):
    """The connection is cut at a phase, once; the next one comes up."""
    manager = lab.manager(behaviour=[f"at.{phase}={how}*1"], options=QUICK)
    agent = lab.agent.start(faketime=FAST)
    closed = manager.wait("session_closed", real(60))
    manager.ready(timeout=real(60), since=closed["seq"])
    agent.wait_status(expect.UP)
    assert manager.errors() == []


@pytest.mark.parametrize("phase", ["accept", "handshake-done", "auth-reply"])
def test_no_answer_at_all(lab, phase):
    """A manager that falls silent before the session is up is given up after 60 s and dialled again."""
    manager = lab.manager(behaviour=[f"at.{phase}=deaf*1"])
    lab.agent.start(faketime=FAST)
    manager.wait("action", action="deaf")
    manager.ready(timeout=real(60 + 60))


def test_silent_manager_is_declared_down(lab):
    """Once a keep-alive was answered, sock_timeout without a word ends the session; it comes back later."""
    manager, agent = lab.connected(manager=lab.manager(options=QUICK), faketime=FAST)
    manager.wait("keepalive", real(60), n=2)
    mark = manager.mark()
    manager.behave("silence=on")
    manager.wait("session_closed", real(90 + 60), since=mark)
    agent.wait_log(expect.EVENT_DOWN)
    manager.behave("silence=off")
    manager.ready(timeout=real(180), since=mark)


def test_manager_that_never_answers_keepalives(lab):
    """A manager that never sends or answers one is judged by TCP alone: the session stays."""
    manager, _agent = lab.connected(manager=lab.manager(options=QUICK, behaviour=["keepalive.answer=off"]),
                                    faketime=FAST)
    manager.wait("keepalive", real(300), n=8)
    assert manager.events("session_closed") == []


def test_half_open_connection(lab):
    """The path dies without a word in either direction: noticed by sock_timeout, and healed."""
    manager, agent = lab.connected(manager=lab.manager(options=QUICK), faketime=FAST)
    manager.wait("keepalive", real(60), n=2)
    start, mark = len(agent.log()), manager.mark()
    lab.swallow(True)
    agent.wait_log(expect.EVENT_DOWN, real(90 + 60), start)
    lab.swallow(False)
    manager.ready(timeout=real(300), since=mark)


def test_manager_that_stops_reading_is_declared_down(lab):
    """TCP stays open, nothing is read and nothing said: down after sock_timeout."""
    manager = lab.manager(options=QUICK, behaviour=["at.keepalive-2=deaf*1"])
    _manager, agent = lab.connected(manager=manager, faketime=FAST)
    mark = manager.wait("action", real(90), action="deaf")["seq"]
    manager.ready(timeout=real(300), since=mark)
    assert expect.search(expect.EVENT_DOWN, agent.log())


def test_link_that_comes_back_is_dialled_at_once(lab):
    """However long the back-off has grown, a dial follows the link within a second."""
    manager, agent = lab.connected(faketime=REAL_TIME)
    refuse_for_a_while(manager, 6)
    lab.link("down")
    manager.well_behaved()
    wait_far_from_a_dial(agent)
    mark = manager.mark()
    lab.link("up")
    took = timed(lambda: manager.wait("accept", 10, since=mark))
    assert took < BACK_OFF_LEFT - 2, f"dialled after {took:.2f} s"
    manager.ready(since=mark)


def test_address_that_comes_back_is_dialled_at_once(lab):
    """The same for the address of wan1 taken away and given back by somebody else."""
    manager, agent = lab.connected(faketime=REAL_TIME)
    refuse_for_a_while(manager, 6)
    lab.device_ns.ip("address", "flush", "dev", "wan1", "scope", "global")
    manager.well_behaved()
    wait_far_from_a_dial(agent)
    mark = manager.mark()
    lab.device_ns.ip("address", "add", "192.168.48.81/24", "dev", "wan1")
    took = timed(lambda: manager.wait("accept", 10, since=mark))
    assert took < BACK_OFF_LEFT - 2, f"dialled after {took:.2f} s"


def test_backoff_grows_and_stays_bounded(lab):
    """A refused connection is retried with growing gaps, never less than 1 s nor more than 60 s apart."""
    manager = lab.manager(behaviour=["at.accept=rst"])
    lab.agent.start(faketime=FAST)
    manager.wait("accept", real(400), session=12)
    times = [e["time"] for e in manager.events("accept")][:12]
    gaps = [(b - a) * SPEED for a, b in zip(times, times[1:])]
    # half a second of the agent's clock is lost in the noise of a hundredfold clock
    assert min(gaps) > 0.5, gaps
    assert max(gaps) < 60 + SPEED * 0.5, gaps
    assert sum(gaps[5:]) > sum(gaps[:5]), gaps


def test_sigterm_closes_cleanly(lab):
    """SIGTERM: TLS close, exit 0, no control socket left, all within 2 s."""
    manager, agent = lab.connected(faketime=REAL_TIME)
    took = timed(lambda: agent.stop(5))
    assert took < 2.0
    assert agent.process.wait(1) == 0
    assert manager.wait("session_closed")["reason"] == "closed by the device"
    assert not agent.socket.exists()
    assert manager.errors() == []


@pytest.mark.parametrize("connected", [True, False])
def test_sigterm_at_any_time(lab, connected):
    """The same while it is still trying to connect."""
    manager = lab.manager(behaviour=[] if connected else ["at.accept=deaf"])
    agent = lab.agent.start(faketime=REAL_TIME)
    manager.wait("ready" if connected else "accept")
    assert agent.stop(2) == 0


def test_sighup_keeps_a_healthy_session(lab):
    """SIGHUP reads the files again; the session goes on."""
    manager, agent = lab.connected(manager=lab.manager(options=QUICK), faketime=FAST)
    start, mark = len(agent.log()), manager.mark()
    agent.process.signal(signal.SIGHUP)
    agent.wait_log(expect.log("reload"), start=start)
    manager.wait("keepalive", real(60), since=mark)
    assert manager.events("session_closed") == [] and len(manager.events("accept")) == 1


def test_sighup_with_a_broken_file(lab):
    """A bootstrap file that no longer parses is reported; what runs stays."""
    manager, agent = lab.connected(manager=lab.manager(options=QUICK), faketime=FAST)
    start, mark = len(agent.log()), manager.mark()
    agent.bootstrap_file.write_text('config agent\n    set certificate "\n')
    agent.process.signal(signal.SIGHUP)
    agent.wait_log(r"fgfmd\.conf:\d+", start=start)
    manager.wait("keepalive", real(60), since=mark)
    assert manager.events("session_closed") == []


def test_tunnel_survives_a_reconnect(lab):
    """After a lost connection the same tunnel carries packets again."""
    manager, _agent = lab.connected()
    poll(lambda: lab.manager_ns.pings(TUNNEL_IP), 5, "a ping")
    mark = manager.mark()
    manager.call("drop", how="rst")
    manager.ready(since=mark)
    poll(lambda: lab.manager_ns.pings(TUNNEL_IP), 5, "a ping after the reconnect")
    assert lab.isolated_ns.pings(MANAGER_IP)
