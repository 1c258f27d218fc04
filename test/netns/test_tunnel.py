"""What the tunnel carries arrives whole and in order, whatever is done to its device meanwhile."""

import json
import pathlib
import signal
import time

import pytest

import expect
from harness import MANAGER_IP, REAL_TIME, TUNNEL_IP
from netns import PYTHON, Process, poll

FLOW = pathlib.Path(__file__).resolve().parent / "flow.py"
PORT = 4100
UP, DOWN = "up", "down"  # towards the manager, towards the device


class Flow:
    """A stream or numbered datagrams through the tunnel."""

    def __init__(self, lab, way, kind, count):
        ends = {"device": (lab.isolated_ns, TUNNEL_IP), "manager": (lab.manager_ns, MANAGER_IP)}
        source, sink = (ends["device"], ends["manager"]) if way == UP else (ends["manager"], ends["device"])
        self._sink = Process([*sink[0].enter(), PYTHON, FLOW, "sink", sink[1], PORT, kind],
                             lab.folder / f"sink-{way}-{kind}.log")
        lab.stack.callback(self._sink.destroy)
        poll(lambda: "listening" in self._sink.text(), 5, "the receiving end")
        self._source = Process([*source[0].enter(), PYTHON, FLOW, "source", sink[1], PORT, kind, count],
                               lab.folder / f"source-{way}-{kind}.log")
        lab.stack.callback(self._source.destroy)
        poll(lambda: "connected" in self._source.text(), 5, "the sending end")

    def running(self):
        return self._source.alive()

    def finish(self, timeout=50):
        """What the two ends say: (sent, received)."""
        assert self._source.wait(timeout) == 0, self._source.text()
        assert self._sink.wait(timeout) == 0, self._sink.text()
        return tuple(json.loads(p.text().splitlines()[-1]) for p in (self._source, self._sink))


def tunnel(lab):
    manager, agent = lab.connected(faketime=REAL_TIME, level="0")
    poll(lambda: lab.manager_ns.pings(TUNNEL_IP), 5, "a ping through the tunnel")
    return manager, agent


@pytest.mark.parametrize("way", [UP, DOWN])
def test_stream_arrives_whole(lab, way):
    """A TCP stream through cutting, records and joining has the digest it was sent with; nothing is dropped."""
    manager, agent = tunnel(lab)
    before = agent.ask_json("diagnose", "fgfm", "session")
    sent, came = Flow(lab, way, "tcp", 24).finish()
    assert came == sent
    assert not expect.drop_reasons(before, agent.ask_json("diagnose", "fgfm", "session"))
    assert manager.errors() == []


def test_streams_both_ways_at_once(lab):
    tunnel(lab)
    up = Flow(lab, UP, "tcp", 12)
    down = Flow(lab, DOWN, "tcp", 12)
    for flow in (up, down):
        sent, came = flow.finish()
        assert came == sent


@pytest.mark.parametrize("way", [UP, DOWN])
def test_numbered_datagrams(lab, way):
    """No datagram is lost, damaged or overtaken; batches of the kernel's are cut into those they were made of."""
    tunnel(lab)
    sent, came = Flow(lab, way, "udp", 4000).finish()
    assert came == {"count": sent["count"], "damaged": 0, "reordered": 0}


@pytest.mark.parametrize("way", [UP, DOWN])
def test_mtu_changed_under_load(lab, way):
    """An administrator makes the device's MTU smaller, larger and what it was: the stream goes on."""
    tunnel(lab)
    flow = Flow(lab, way, "tcp", 48)
    changes = 0
    while flow.running():
        lab.isolated_ns.ip("link", "set", "fgfm0", "mtu", (1280, 9000, 600, 1500)[changes % 4])
        changes += 1
        time.sleep(0.02)
    sent, came = flow.finish()
    assert came == sent
    assert changes > 4


@pytest.mark.parametrize("way", [UP, DOWN])
def test_device_deleted_under_load(lab, way):
    """The device is deleted from outside while a stream passes: it comes back, and the stream arrives whole."""
    manager, _agent = tunnel(lab)
    flow = Flow(lab, way, "tcp", 48)
    for _ in range(3):
        lab.isolated_ns.ip("link", "delete", "fgfm0")
        poll(lambda: any(a.startswith(TUNNEL_IP) for a in lab.isolated_ns.addresses("fgfm0")), 10,
             "the device and its address")
    assert flow.running()
    sent, came = flow.finish()
    assert came == sent
    assert len(manager.sessions()) == 1


def test_queue_is_short_while_the_line_is_slow(lab):
    """The device's queue is long for bursts, but not while the agent waits for the manager, when it would only delay."""
    def queue():
        return json.loads(lab.isolated_ns.ip("-j", "link", "show", "fgfm0").stdout)[0]["txqlen"]

    def hold_the_manager():
        manager.process.signal(signal.SIGSTOP)
        time.sleep(0.3)
        manager.process.signal(signal.SIGCONT)
        time.sleep(0.1)

    manager, _agent = tunnel(lab)
    assert queue() == 256
    flow = Flow(lab, UP, "tcp", 96)
    poll(lambda: hold_the_manager() or queue() == 32, 20, "a short queue", every=0.1)
    sent, came = flow.finish()
    assert came == sent
    poll(lambda: queue() == 256, 10, "a long queue again")


def test_messages_pass_a_full_tunnel(lab):
    """While the tunnel is full both ways the manager still gets its answers."""
    manager, agent = tunnel(lab)
    flows = [Flow(lab, UP, "tcp", 48), Flow(lab, DOWN, "tcp", 48)]
    configuration = manager.get_config()
    assert 'set hostname "FGVM010000000001"' in configuration
    assert all(flow.running() for flow in flows)
    for flow in flows:
        sent, came = flow.finish()
        assert came == sent
    assert expect.connection(agent.status()) == expect.UP
