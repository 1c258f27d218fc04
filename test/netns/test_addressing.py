"""How the agent finds a manager: by name, over IPv6, among several; and a manager that dials the device."""

import pytest

import expect
from harness import DEVICE_IP, FAST, HERE, MANAGER_IP, MANAGER_IP6, MANAGER_SERIAL, real
from netns import PYTHON, Process, poll


def name_server(lab, *names):
    """A DNS server in the manager's namespace; the agent's resolv-conf points at it."""
    process = Process([*lab.manager_ns.enter(), PYTHON, HERE / "dnsd.py", MANAGER_IP, *names],
                      lab.folder / "dnsd.log")
    lab.stack.callback(process.destroy)
    poll(lambda: "listening" in process.text(), 5, "the name server")
    resolv = lab.folder / "resolv.conf"
    resolv.write_text(f"nameserver {MANAGER_IP}\n")
    lab.agent.set(resolv_conf=f'"{resolv}"')


def listen_only(agent):
    """Under management, but nobody to dial: the manager has to come."""
    agent.configure(fmg=[], central="    set type fortimanager\n")
    agent.set(listen="enable", listen_port="541")


def dial(lab, manager):
    poll(lambda: lab.device_ns.run("ss", "-Hltn", "sport = :541").stdout, 5, "the agent to listen")
    manager.call("dial", address=DEVICE_IP, port=541)


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
    agent.ask("diagnose", "fgfm", "explain")
    assert manager.events("accept") == []


def test_manager_dials_the_device(lab):
    """A listening agent is reached by its listed manager; it is the TLS client even then."""
    manager, agent = lab.connected()
    agent.stop()
    listen_only(agent)
    mark = manager.mark()
    agent.start().wait_ready()
    dial(lab, manager)
    assert manager.wait("accept", since=mark, by="manager")
    manager.ready(since=mark)
    assert manager.errors() == []


@pytest.mark.parametrize("password, let_in", [("Local-Admin-7", True), ("guess", False)])
def test_first_contact_from_the_manager_needs_an_administrator(lab, password, let_in):
    """An empty list and a manager that dials: only a local administrator's password opens the door."""
    listen_only(lab.agent)
    manager = lab.manager(behaviour=["auth.set.user=admin", f"auth.set.passwd={password}"])
    agent = lab.agent.start().wait_ready()
    done = agent.script('config system admin\nedit "admin"\nset accprofile "super_admin"\n'
                        'set password "Local-Admin-7"\nnext\nend\n')
    assert done.returncode == 0, done.stderr
    dial(lab, manager)
    if let_in:
        manager.ready()
        assert agent.trusted() == [MANAGER_SERIAL]
    else:
        manager.wait("session_closed")
        assert agent.trusted() == [] and manager.events("get_ip") == []
    assert "Local-Admin-7" not in agent.log() + agent.saved.read_text()


def test_explain_names_the_step_that_failed(lab):
    """`diagnose fgfm explain` shows the serials side by side when they differ."""
    lab.manager(serial="FMG-VM0000000077")
    agent = lab.agent.start(faketime=FAST)
    agent.wait_log(expect.log("serial differs"), real(10))
    shown = agent.ask("diagnose", "fgfm", "explain")
    assert MANAGER_SERIAL in shown and "FMG-VM0000000077" in shown
