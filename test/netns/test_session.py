"""A good session: what the agent says, what it sets up, and that nothing it does breaks the protocol."""

import pytest

import expect
from harness import DEVICE_IP, DEVICE_SERIAL, FAST, MANAGER_IP, MANAGER_SERIAL, TUNNEL_IP, real
from netns import poll


def test_happy_path(lab):
    """First contact: registration, trusted list on disk, tunnel address, ping, retrieval, clean protocol."""
    manager, agent = lab.connected()
    status = agent.status()
    assert expect.registration(status) == expect.REGISTERED
    assert expect.find(status, "serial") == MANAGER_SERIAL
    assert expect.tunnel_address(status) == TUNNEL_IP
    assert agent.trusted() == [MANAGER_SERIAL]
    poll(lambda: any(a.startswith(TUNNEL_IP) for a in lab.isolated_ns.addresses("fgfm0")), 5, "the tunnel address")
    poll(lambda: lab.manager_ns.pings(TUNNEL_IP), 5, "a ping through the tunnel")
    assert lab.isolated_ns.pings(MANAGER_IP)
    config = manager.get_config()
    assert 'edit "wan1"' in config and f"set ip {DEVICE_IP} 255.255.255.0" in config
    assert len(manager.get_config(full=True)) > len(config)
    assert manager.errors() == []


def test_identity_in_the_messages(lab):
    """get auth and get ip carry the device's identity; the second says nothing new about it."""
    manager, agent = lab.connected()
    auth = manager.wait("get_auth")["keys"]
    ip = manager.wait("get_ip")
    assert auth["serialno"] == DEVICE_SERIAL and auth["hostname"] == DEVICE_SERIAL
    assert auth["fg_ip"] == DEVICE_IP and not ip["nat"]
    assert auth["mgmtid"] == "00000000-0000-0000-0000-000000000000"
    assert int(auth["fos_ver"]) % 100 == 0
    assert ip["keys"]["probe_mode"] == "yes" and ip["keys"]["first_fmgid"] == ""
    assert ip["keys"]["intf"] == "wan1" and ip["keys"]["vdom"] == "root"
    assert expect.search(expect.log("debug lines of the guide", mgmtid="247331677"), agent.log())
    assert expect.search(expect.EVENT_UP, agent.log())


def test_second_session_knows_its_manager(lab):
    """After registration get ip says whom the device belongs to, and the management id that was given."""
    manager, _agent = lab.connected()
    mark = manager.mark()
    manager.call("drop")
    manager.ready(since=mark)
    keys = manager.wait("get_ip", since=mark)["keys"]
    assert keys["first_fmgid"] == MANAGER_SERIAL and keys["probe_mode"] == "no"
    assert keys["mgmtid"] == "247331677"
    assert manager.errors() == []


@pytest.mark.parametrize("overwrite, kept", [("0", "247331677"), ("1", "5e2b1f0c-90a1-4bd2-8a35-3f1c5a1d7e60")])
def test_management_id_is_replaced_only_on_demand(lab, overwrite, kept):
    """overwrite_fmgid=1 replaces the stored management id (a UUID here), 0 does not."""
    manager, _agent = lab.connected()
    manager.behave("ip.set.mgmtid=5e2b1f0c-90a1-4bd2-8a35-3f1c5a1d7e60", f"ip.set.overwrite_fmgid={overwrite}")
    for _ in range(2):
        mark = manager.mark()
        manager.call("drop")
        manager.ready(since=mark)
    assert manager.wait("get_auth", since=mark)["keys"]["mgmtid"] == kept


def test_keepalive_checksum_follows_the_configuration(lab):
    """The checksum of the keep-alives is that of `get system mgmt-csum`, and a local change changes it."""
    manager, agent = lab.connected(manager=lab.manager(options=["--keepalive-interval", "30"]), faketime=FAST)
    first = manager.wait("keepalive", real(30))["checksum"]
    assert expect.checksums(agent.ask("get", "system", "mgmt-csum"))["all"].strip() == first
    mark = manager.mark()
    done = agent.script('config system interface\nedit "wan9"\nset ip 10.2.0.1/16\nnext\nend\n')
    assert done.returncode == 0, done.stderr

    def changed():
        return [e for e in manager.events("keepalive", since=mark) if e["checksum"] != first]
    poll(changed, real(90), "another checksum")
    assert "set ip 10.2.0.1 255.255.0.0" in manager.get_config()
    assert "set ip 10.2.0.1 255.255.0.0" in agent.saved.read_text()


def test_keepalives_of_the_manager_are_answered(lab):
    """A keep-alive of the manager gets a reply 200."""
    manager, _agent = lab.connected()
    manager.behave("keepalive_every=0.1")
    assert manager.wait("keepalive_reply")["code"] == 200
    assert manager.errors() == []


def test_registration_later(lab):
    """An unregistered session has neither tunnel nor trust; the manager's later word changes that at once."""
    manager = lab.manager(register=False)
    agent = lab.agent.start()
    manager.wait("ready", registered=False)
    agent.wait_ready()
    assert expect.registration(agent.status()) != expect.REGISTERED
    assert agent.trusted() == []
    assert not any(a.startswith(TUNNEL_IP) for a in lab.isolated_ns.addresses("fgfm0"))
    manager.call("register", serial=DEVICE_SERIAL)
    manager.wait("updated", registered=True)
    poll(lambda: agent.trusted() == [MANAGER_SERIAL], 5, "the trusted list entry")
    poll(lambda: lab.manager_ns.pings(TUNNEL_IP), 5, "a ping through the tunnel")


def test_new_tunnel_address_in_a_live_session(lab):
    """An unasked ip reply moves the tunnel address."""
    manager, _agent = lab.connected()
    poll(lambda: lab.manager_ns.pings(TUNNEL_IP), 5, "a ping through the tunnel")
    manager.behave("ip.set.ip=169.254.7.9")
    manager.call("push_ip")
    poll(lambda: lab.isolated_ns.addresses("fgfm0") == {"169.254.7.9/32"}
         or {a.partition("/")[0] for a in lab.isolated_ns.addresses("fgfm0")} == {"169.254.7.9"}, 5, "the new address")
    poll(lambda: lab.manager_ns.pings("169.254.7.9"), 5, "a ping to the new address")


def test_no_tunnel_address(lab):
    """Registered, but no ip in the reply: the session is up, the TUN stays without an address."""
    manager, agent = lab.connected(manager=lab.manager(behaviour=["ip.omit=ip"]))
    assert expect.registration(agent.status()) == expect.REGISTERED
    assert not any(a[0].isdigit() and "." in a for a in lab.isolated_ns.addresses("fgfm0"))
    assert manager.errors() == []


@pytest.mark.parametrize("key, value", [("keepalive_interval", "5"), ("keepalive_interval", "100000"),
                                        ("sock_timeout", "1"), ("sock_timeout", "99999"),
                                        ("chan_window_sz", "16"), ("chan_window_sz", "9999999")])
def test_intervals_out_of_range_are_clamped(lab, key, value):
    """Timers and windows out of range are clamped and logged; the session comes up."""
    manager, agent = lab.connected(manager=lab.manager(behaviour=[f"auth.set.{key}={value}",
                                                                  f"ip.set.{key}={value}"]))
    agent.wait_log(expect.log("clamped"))
    assert manager.errors() == []


def test_window_of_the_manager_is_respected(lab):
    """While the manager acknowledges nothing, the agent stops at the window and goes on afterwards."""
    more = "config system interface\n" + "".join(
        f'    edit "net{i}"\n        set alias "number {i}"\n    next\n' for i in range(1500)) + "end\n"
    lab.agent.configure(more=more)
    manager, _agent = lab.connected(manager=lab.manager(options=["--window", "4096"]))
    assert 'edit "net1499"' in manager.get_config()
    manager.behave("ack=off")
    manager.call("open", keys={"file_exch_cmd": "get_config"}, hold=True)
    manager.behave("keepalive_every=0.1")
    manager.wait("keepalive_reply")
    assert manager.errors() == []


def test_many_registered_keepalives_leave_no_error(lab):
    """A longer session of the agent's clock: an hour of keep-alives without a word out of place."""
    manager, _agent = lab.connected(manager=lab.manager(options=["--keepalive-interval", "60"]), faketime=FAST)
    manager.wait("keepalive", real(1500), n=20)
    assert len(manager.events("ready")) == 1
    assert manager.errors() == []
