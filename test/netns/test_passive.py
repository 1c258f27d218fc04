"""Passive mode: a manager says which versions it has, and the device asks for what is newer, seldom."""

import pytest

import expect
from harness import DEVICE_IP, DEVICE_IP6, FAST, MANAGER_IP, MANAGER_IP6, REAL_TIME, real
from netns import PYTHON, poll
from test_listen import sockets

NEWER = "keepalive\r\nos_ver=7.2.4\r\navdb=91.00001\r\nipsdb=0\r\n\r\n\0"
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[2], 0))
for _ in range(int(sys.argv[3])):
    s.sendto(bytes.fromhex(sys.argv[4]), (sys.argv[1], 9443))
"""
OFF = "config system autoupdate schedule\nset status disable\nend\n"
ON = "config system autoupdate schedule\nset status enable\nend\n"


def notify(lab, text=NEWER, source=MANAGER_IP, address=DEVICE_IP, times=1):
    lab.manager_ns.run(PYTHON, "-c", SEND, address, source, str(times), text.encode("latin-1").hex())


def counter(agent, name):
    return agent.ask_json("diagnose", "fgfm", "session").get(name)


def wait_counter(agent, name, value):
    poll(lambda: counter(agent, name) == value, 5, f"{name} to be {value}")


def requests(agent):
    return [line for line in agent.log().splitlines() if 'logid="0100053460"' in line]


def test_keepalive_with_newer_versions(lab):
    """One request comes of any number of keep-alives within an interval, and another one in the next."""
    manager, agent = lab.connected(faketime=FAST)
    manager.behave("keepalive.send.avdb=91.00001", "keepalive.send.ipsdb=20.1", "keepalive_every=0.2")
    poll(lambda: requests(agent), real(300), "a request")
    assert 'what="av 0.00000 -> 91.00001, ips 0.00000 -> 20.1"' in requests(agent)[0]
    poll(lambda: counter(agent, "newer-versions") >= 10, 10, "ten keep-alives")
    assert len(requests(agent)) == 1
    poll(lambda: len(requests(agent)) == 2, real(3600 + 300, slack=15), "the next interval's request")
    assert counter(agent, "update-requests") == 2 and manager.errors() == []


@pytest.mark.parametrize("versions", [("0", "0"), ("0.00000", ""), ("latest", "%n%s"), ("-1", "9999999999")])
def test_keepalive_without_anything_newer(lab, versions):
    """The same, less, or what is no version leads to nothing."""
    manager, agent = lab.connected()
    manager.behave(f"keepalive.send.avdb={versions[0]}", f"keepalive.send.ipsdb={versions[1]}", "keepalive_every=0.1")
    manager.wait("keepalive_reply")
    assert counter(agent, "newer-versions") == 0 and manager.errors() == []


def test_unregistered_manager_has_no_say(lab):
    """Versions of a manager that does not manage the device are not looked at."""
    manager = lab.manager(register=False, behaviour=["keepalive.send.avdb=91", "keepalive_every=0.1"])
    agent = lab.agent.start()
    manager.wait("keepalive_reply")
    notify(lab)
    wait_counter(agent, "notices-foreign", 1)
    assert counter(agent, "newer-versions") == 0


def test_notice_of_the_manager(lab):
    """A datagram of the manager's says the same as its keep-alive."""
    _manager, agent = lab.connected(faketime=FAST)
    notify(lab)
    poll(lambda: requests(agent), real(300), "a request")
    assert counter(agent, "notices") == 1


def test_notice_over_ipv6(lab):
    """The manager's address is that of its session."""
    lab.agent.configure(fmg=[MANAGER_IP6])
    _manager, agent = lab.connected(lab.manager(address=None, address6=MANAGER_IP6))
    notify(lab, source=MANAGER_IP6, address=DEVICE_IP6)
    wait_counter(agent, "notices", 1)
    notify(lab)
    wait_counter(agent, "notices-foreign", 1)
    assert counter(agent, "newer-versions") == 1


def test_notice_of_somebody_else(lab):
    """Only the current manager's address counts, whatever the datagram says."""
    lab.add_manager_address("192.168.48.60")
    _manager, agent = lab.connected()
    notify(lab, source="192.168.48.60", times=5)
    wait_counter(agent, "notices-foreign", 5)
    assert counter(agent, "newer-versions") == 0 and counter(agent, "notices") == 0


@pytest.mark.parametrize("text", ["", "\0", "get auth\r\n\r\n\0", "keepalive", NEWER + "more", "\xff" * 1400,
                                  "keepalive\r\n" + "".join(f"a{n}=b\r\n" for n in range(129)) + "\r\n", "k" * 3000],
                         ids=["empty", "nul", "other-verb", "no-lines", "bytes-behind", "rubbish", "keys", "too-long"])
def test_malformed_notice(lab, text):
    """What is no keep-alive is counted, and does no harm."""
    manager, agent = lab.connected()
    notify(lab, text)
    wait_counter(agent, "notices-malformed", 1)
    notify(lab)
    wait_counter(agent, "notices", 1)
    assert expect.connection(agent.status()) == expect.UP and manager.errors() == []


def test_flood_of_notices(lab):
    """Ten thousand of them are one request."""
    manager, agent = lab.connected(faketime=REAL_TIME)
    notify(lab, times=10000)
    poll(lambda: counter(agent, "notices"), 5, "some of them to be seen")
    assert len(requests(agent)) <= 1
    mark = manager.mark()
    manager.install_and_wait("n1", "config system global\nset hostname \"n\"\nend\n", "")
    assert manager.events("result", since=mark)[0]["result"] == "committed"


def test_socket_exists_only_while_updates_are_on(lab):
    """Off: the port is closed, and keep-alives lead to nothing either."""
    manager, agent = lab.connected()
    assert sockets(lab, 9443, "u")
    assert agent.script(OFF).returncode == 0
    poll(lambda: not sockets(lab, 9443, "u"), 5, "the port to be closed")
    manager.behave("keepalive.send.avdb=91", "keepalive_every=0.1")
    manager.wait("keepalive_reply")
    assert counter(agent, "newer-versions") == 0
    assert agent.script(ON).returncode == 0
    poll(lambda: sockets(lab, 9443, "u"), 5, "the port to be open")
    poll(lambda: counter(agent, "newer-versions"), 5, "a keep-alive to be looked at")


def test_no_manager_no_socket(lab):
    """A device under nobody's management hears no notices."""
    lab.agent.configure(fmg=[])
    lab.agent.start().wait_ready()
    assert sockets(lab, 9443, "u") == []
