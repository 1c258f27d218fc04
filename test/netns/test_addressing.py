"""How the agent finds a manager: by name, over IPv6, among several."""

import pytest

import expect
import servers
from harness import FAST, MANAGER_IP, MANAGER_IP6


def name_server(lab, *names):
    """A DNS server in the manager's namespace; the agent's resolv-conf points at it."""
    resolv = servers.name_server(lab, lab.manager_ns, MANAGER_IP, *names)
    lab.agent.set(resolv_conf=f'"{resolv}"')


def test_manager_by_name(lab):
    """A name in `set fmg` is resolved through the configured resolv.conf."""
    name_server(lab, f"fmg.example.test={MANAGER_IP}")
    lab.agent.configure(fmg=["fmg.example.test"])
    lab.connected()


def test_name_with_a_dead_address_first(lab):
    """All addresses of a name are tried."""
    name_server(lab, "fmg.example.test=192.168.48.99", f"fmg.example.test={MANAGER_IP}")
    lab.agent.configure(fmg=["fmg.example.test"])
    lab.connected(faketime=FAST)


def test_name_that_does_not_exist_yet(lab):
    """An unknown name is retried, and the reason shown; another manager of the list is still reached."""
    name_server(lab, f"fmg.example.test={MANAGER_IP}")
    lab.agent.configure(fmg=["nowhere.example.test", "fmg.example.test"])
    lab.connected(faketime=FAST)


def test_ipv6_manager(lab):
    """An IPv6 manager is reached on port 542."""
    lab.agent.configure(fmg=[MANAGER_IP6])
    manager, _agent = lab.connected(manager=lab.manager(address=None, address6=MANAGER_IP6))
    assert manager.wait("get_auth")["keys"]["fg_ip"] == "fd48::81"
    assert manager.errors() == []


def test_explicit_port(lab):
    """`set manager-port` rules."""
    lab.agent.set(manager_port="5541")
    lab.connected(manager=lab.manager(options=["--port", "5541"]))


@pytest.mark.parametrize("dead", ["192.168.48.47", "192.168.48.99", "203.0.113.1"],
                         ids=["port-closed", "no-such-host", "no-way-there"])
def test_first_manager_dead_second_good(lab, dead):
    """The first address refuses, does not answer or cannot be reached: the second one gets the session."""
    lab.add_manager_address("192.168.48.47")
    lab.agent.configure(fmg=[dead, MANAGER_IP])
    lab.connected(faketime=FAST)


def test_first_manager_refused_second_good(lab):
    """A first manager that fails authentication does not keep the agent from the second."""
    lab.add_manager_address("192.168.48.47")
    bad = lab.manager("manager-wrongca", address="192.168.48.47", tun=False)
    lab.agent.configure(fmg=["192.168.48.47", MANAGER_IP])
    lab.connected(manager=lab.manager(), faketime=FAST)
    assert bad.events("get_ip") == []


def test_last_good_manager_is_dialled_first(lab):
    """After a loss the address that worked last comes first."""
    lab.add_manager_address("192.168.48.47")
    first = lab.manager(address="192.168.48.47", tun=False, behaviour=["at.accept=rst*1"])
    lab.agent.configure(fmg=["192.168.48.47", MANAGER_IP])
    second, _agent = lab.connected(manager=lab.manager())
    mark, seen = second.mark(), len(first.events("accept"))
    second.call("drop")
    second.ready(since=mark)
    assert len(first.events("accept")) == seen


def test_no_manager_configured(lab):
    """`type none`: nothing is dialled, and the tool says so."""
    lab.agent.configure(fmg=[])
    manager = lab.manager()
    agent = lab.agent.start().wait_ready()
    assert expect.connection(agent.status()) != expect.UP
    assert "set type" in expect.reason_down(agent.status())
    assert manager.events("accept") == []


