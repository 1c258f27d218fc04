"""The isolated namespace: what is in it, what is let through, what is dropped and counted."""

import os

import pytest

import expect
from harness import FAST, MANAGER_IP, MANAGER_IP6, TUNNEL_IP, ip_packet
from netns import PYTHON, poll

SEND_RAW = ("import socket,sys;s=socket.socket(socket.AF_INET,socket.SOCK_RAW,socket.IPPROTO_RAW);"
            "s.sendto(bytes.fromhex(sys.argv[1]),(sys.argv[2],0))")


def tunnel(lab):
    """A session whose tunnel carries packets."""
    manager, agent = lab.connected()
    poll(lambda: lab.manager_ns.pings(TUNNEL_IP), 5, "a ping through the tunnel")
    return manager, agent


def session_counters(agent):
    return agent.ask_json("diagnose", "fgfm", "session")


def dropped(agent, before):
    """The drop reason that went up since `before`."""
    return poll(lambda: expect.drop_reasons(before, session_counters(agent)), 5, "a drop counter to go up")


def test_only_the_tun_is_in_the_namespace(lab):
    """The namespace holds loopback and the TUN, with the default routes of both families through it."""
    tunnel(lab)
    links = {line.split(": ")[1].split("@")[0] for line in lab.isolated_ns.ip("-o", "link").stdout.splitlines()}
    assert links == {"lo", "fgfm0"}
    assert any(r.startswith("default") and "fgfm0" in r for r in lab.isolated_ns.routes("-4"))
    assert any(r.startswith("default") and "fgfm0" in r for r in lab.isolated_ns.routes("-6"))


def test_nothing_leads_out_of_the_namespace(lab):
    """From inside, only the manager's tunnel end answers; the device's own wire is out of reach."""
    tunnel(lab)
    assert lab.isolated_ns.pings(MANAGER_IP)
    assert not lab.isolated_ns.pings("192.168.48.81")


@pytest.mark.parametrize("packet, what", [
    (ip_packet(MANAGER_IP, "192.168.48.81", b"x" * 8), "destination on the device's wire"),
    (ip_packet(MANAGER_IP, "127.0.0.1", b"x" * 8), "destination on loopback"),
    (ip_packet(MANAGER_IP, "169.254.0.3", b"x" * 8), "destination of another device"),
], ids=["wire", "loopback", "neighbour"])
def test_forged_destination_from_the_manager(lab, packet, what):
    """A packet that is not for the tunnel address is dropped and counted under a reason."""
    manager, agent = tunnel(lab)
    before = session_counters(agent)
    manager.call("send_ip", hex=packet.hex())
    assert dropped(agent, before), what
    assert len(manager.sessions()) == 1


@pytest.mark.parametrize("length", [20, 27, 29, 1500, 65535])
def test_length_that_lies(lab, length):
    """An IP header whose length is not the frame's is dropped and counted; the session lives."""
    manager, agent = tunnel(lab)
    before = session_counters(agent)
    manager.call("send_ip", hex=ip_packet(MANAGER_IP, TUNNEL_IP, b"x" * 8, length=length).hex())
    assert dropped(agent, before)
    assert lab.manager_ns.pings(TUNNEL_IP)


@pytest.mark.parametrize("raw", ["00", "45", "45000014", "60000000", "f0" * 40], ids=len)
def test_body_that_is_no_packet(lab, raw):
    """An IP frame with something else in it is dropped and counted."""
    manager, agent = tunnel(lab)
    before = session_counters(agent)
    manager.call("send_ip", hex=raw)
    assert dropped(agent, before)
    assert lab.manager_ns.pings(TUNNEL_IP)


def test_forged_source_from_inside(lab):
    """A local process that forges its source reaches nobody: dropped and counted."""
    manager, agent = tunnel(lab)
    before = session_counters(agent)
    forged = ip_packet("10.9.9.9", MANAGER_IP, b"x" * 8)
    lab.isolated_ns.run(PYTHON, "-c", SEND_RAW, forged.hex(), MANAGER_IP)
    assert dropped(agent, before)
    assert manager.errors() == []


def test_reasons_are_told_apart(lab):
    """Forged destination, forged source and a lying length count under three different reasons."""
    manager, agent = tunnel(lab)
    seen = []
    for send in (
        lambda: manager.call("send_ip", hex=ip_packet(MANAGER_IP, "10.1.1.1", b"x" * 8).hex()),
        lambda: manager.call("send_ip", hex=ip_packet(MANAGER_IP, TUNNEL_IP, b"x" * 8, length=999).hex()),
        lambda: lab.isolated_ns.run(PYTHON, "-c", SEND_RAW, ip_packet("10.9.9.9", MANAGER_IP).hex(), MANAGER_IP),
    ):
        before = session_counters(agent)
        send()
        seen.append(dropped(agent, before))
    assert not (seen[0] & seen[1] or seen[1] & seen[2] or seen[0] & seen[2])


def test_ipv6_stays_inside(lab):
    """IPv6 to the manager's wire does not leave the namespace except through the tunnel."""
    manager, _agent = tunnel(lab)
    assert not lab.isolated_ns.pings(MANAGER_IP6)
    assert manager.errors() == []


def test_deleted_tun_is_made_again(lab):
    """The TUN deleted from outside comes back with its address, and carries packets."""
    tunnel(lab)
    lab.isolated_ns.ip("link", "delete", "fgfm0")
    poll(lambda: any(a.startswith(TUNNEL_IP) for a in lab.isolated_ns.addresses("fgfm0")), 10, "the TUN and address")
    poll(lambda: lab.manager_ns.pings(TUNNEL_IP), 5, "a ping through the new TUN")


def test_namespace_survives_a_restart(lab):
    """Local services in the namespace keep it across a restart of the agent."""
    manager, agent = tunnel(lab)
    inode = os.stat(lab.isolated_ns.path).st_ino
    mark = manager.mark()
    agent.kill()
    agent.restart()
    manager.ready(since=mark)
    poll(lambda: lab.manager_ns.pings(TUNNEL_IP), 5, "a ping after the restart")
    assert os.stat(lab.isolated_ns.path).st_ino == inode


def test_device_name_taken_at_first(lab):
    """A foreign device of the same name is in the way; when it is gone the tunnel gets its address all the same."""
    lab.isolated_ns.create()
    lab.isolated_ns.ip("link", "add", "fgfm0", "type", "veth", "peer", "name", "other0")
    manager = lab.manager()
    agent = lab.agent.start(faketime=FAST)
    manager.ready()
    assert expect.tunnel_address(agent.status()) == ""
    lab.isolated_ns.ip("link", "delete", "fgfm0")
    poll(lambda: lab.manager_ns.pings(TUNNEL_IP), 10, "a ping through the tunnel that came late")
