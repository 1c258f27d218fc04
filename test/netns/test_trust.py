"""The trusted list: ten slots, how entries come and go."""

import re

import expect
from harness import DEVICE_SERIAL, FAST, FGFMCTL, MANAGER_IP, MANAGER_SERIAL
from netns import poll, run

PASSWORD = "first-Secret-1"


def serial(number):
    return f"FMG-VM{number:010}"


def register(manager, agent, pki, number, password=PASSWORD):
    """Let manager `number` in with register-device, and have it come."""
    mark = manager.mark()
    manager.use_certificate(pki, f"manager-{number:02}", serial(number))
    done = agent.ctl("execute", "central-mgmt", "register-device", serial(number), password)
    if done.returncode:
        return done
    manager.call("drop")
    manager.wait("dev_register", since=mark)
    return done


def fill(lab, pki, count):
    """An agent whose list has `count` managers; returns (manager, agent)."""
    manager, agent = lab.connected(faketime=FAST)
    manager.behave(f"register_password={PASSWORD}")
    for number in range(2, count + 1):
        assert register(manager, agent, pki, number).returncode == 0
        poll(lambda n=number: serial(n) in agent.trusted(), 10, f"entry {number}")
    return manager, agent


def test_ten_entries_and_not_one_more(lab, pki):
    """Ten managers are taken; the eleventh is refused with the documented words and changes nothing."""
    manager, agent = fill(lab, pki, 10)
    listed = agent.trusted()
    assert listed == [serial(n) for n in range(1, 11)]
    done = register(manager, agent, pki, 11)
    if done.returncode:
        assert expect.search(expect.log("list full"), done.stdout + done.stderr)
    else:
        agent.wait_log(expect.log("list full"))
    assert agent.trusted() == listed
    shown = agent.ask("diagnose", "fgfm", "trust-list")
    assert all(one in shown for one in listed) and serial(11) not in shown
    assert manager.errors() == []


def test_every_listed_manager_may_come(lab, pki):
    """Any of several listed managers is accepted when it comes."""
    manager, agent = fill(lab, pki, 3)
    for number, certificate in ((1, "manager"), (3, "manager-03"), (2, "manager-02")):
        mark = manager.mark()
        manager.use_certificate(pki, certificate, serial(number))
        manager.call("drop")
        manager.ready(since=mark)
        assert manager.wait("get_ip", since=mark)
    assert agent.trusted() == [serial(1), serial(2), serial(3)]


def test_list_survives_a_restart(lab, pki):
    """The list is read back, and shown without a daemon as well."""
    manager, agent = fill(lab, pki, 2)
    mark = manager.mark()
    agent.stop(10)
    offline = run(FGFMCTL, "--config", agent.bootstrap_file, "trust-list", "--offline").stdout
    agent.restart()
    manager.ready(since=mark)
    assert agent.trusted() == [serial(1), serial(2)]
    assert re.findall(r"FMG-VM\d+", offline) == [serial(1), serial(2)]
    assert offline.count("(empty)") == 8


def test_wrong_registration_password(lab, pki):
    """A manager that does not accept the password stays out of the list."""
    manager, agent = fill(lab, pki, 1)
    done = register(manager, agent, pki, 2, "wrong")
    assert done.returncode == 0 and manager.wait("dev_register")["good"] is False
    assert agent.trusted() == [serial(1)]
    assert "wrong" not in agent.ask("show", "full-configuration")


def test_passwords_stay_out_of_the_log(lab, pki):
    """The registration password crosses the wire, but never a log."""
    _manager, agent = fill(lab, pki, 2)
    assert PASSWORD not in agent.log()


def test_unregister_on_the_device(lab):
    """Only the device takes an entry off its list; then that manager is a stranger: first contact again."""
    manager, agent = lab.connected()
    mark = manager.mark()
    agent.ask("execute", "central-mgmt", "unregister-device", MANAGER_SERIAL)
    manager.wait("session_closed", since=mark)
    manager.ready(since=mark)
    assert manager.wait("get_ip", since=mark)["keys"]["probe_mode"] == "yes"


def test_unregistering_a_stranger_fails(lab):
    """A serial that is not there cannot be taken off."""
    _manager, agent = lab.connected()
    done = agent.ctl("execute", "central-mgmt", "unregister-device", "FMG-VM0000000099")
    assert done.returncode == 1 and agent.trusted() == [MANAGER_SERIAL]


def test_manager_that_unregisters_the_device(lab):
    """register_status=0 takes the privileges, not the entry."""
    manager, agent = lab.connected()
    manager.behave("ip.set.register_status=0")
    mark = manager.mark()
    manager.call("drop")
    manager.wait("ready", since=mark, registered=False)
    assert agent.trusted() == [MANAGER_SERIAL]
    manager.install("u1", "config system global\nend\n", "")
    assert manager.wait("install_refused", since=mark)["code"] == 401


def test_list_cannot_be_changed_by_configuration(lab):
    """Neither an install nor a local script touches the list."""
    manager, agent = lab.connected()
    script = f"execute central-mgmt unregister-device {MANAGER_SERIAL}\n"
    manager.install_and_wait("t1", script, "")
    assert (-37, script.strip()) in manager.result_lines("t1")
    assert agent.trusted() == [MANAGER_SERIAL]


def test_damaged_list_is_kept_aside(lab):
    """A damaged list is named, kept as .corrupt, and not taken for an empty one that trusts anybody."""
    manager, agent = lab.connected()
    agent.stop()
    path = agent.state / "trust-list.json"
    path.write_text(path.read_text()[:-20])
    mark = manager.mark()
    agent.restart()
    poll(lambda: list(agent.state.glob("trust-list.json*.corrupt*")), 5, "the damaged list kept aside")
    agent.wait_log("trust-list")
    assert manager.events("ready", since=mark, registered=True) == []


def test_unregistered_before_its_session_is_up(lab):
    """A manager taken off the list while its session waits for an address gets no privilege."""
    manager, agent = lab.connected()
    manager.behave("ip.delay=2")
    mark = manager.mark()
    manager.call("drop")
    session = manager.wait("get_ip", since=mark)["session"]
    manager.behave("ip.delay=0", "ip.set.register_status=0")
    agent.ask("execute", "central-mgmt", "unregister-device", MANAGER_SERIAL)
    agent.wait_log("ended: unregistered by an operator")
    assert manager.wait("session_closed", since=mark, session=session)["reason"] == "closed by the device"
    # first contact begins anew, and this time it is not registered
    poll(lambda: [e for e in manager.events("ready", since=mark) if e["session"] > session], 10, "first contact")
    assert agent.trusted() == []


def test_pins_set_after_first_contact_count(lab):
    """A manager that came in by first contact is not enrolled once other serial numbers are named."""
    manager = lab.manager(register=False)
    agent = lab.agent.start()
    manager.wait("ready")
    done = agent.script("config system central-management\nset serial-number FMG-VM0000000009\nend\n")
    assert done.returncode == 0, done.stderr
    manager.call("register", serial=DEVICE_SERIAL)
    agent.wait_log("not one of the 1 configured serial numbers")
    assert agent.trusted() == []


def test_register_device_while_a_session_is_up(lab):
    """The command does its work also when an unprivileged session with that manager is up already."""
    manager = lab.manager(register=False)
    agent = lab.agent.start()
    manager.wait("ready")
    agent.ask("execute", "central-mgmt", "register-device", MANAGER_SERIAL, "let-me-in")
    manager.wait("dev_register")
    assert "let-me-in" not in agent.log()


def test_second_manager_by_register_device(lab):
    """With one manager in use another one is looked for, and takes its place once it is registered."""
    first, agent = lab.connected()
    lab.add_manager_address("192.168.48.47")
    second = lab.manager("manager-02", serial="FMG-VM0000000002", address="192.168.48.47", tun=False)
    agent.script(f'config system central-management\nset fmg "{MANAGER_IP}" "192.168.48.47"\nend\n')
    agent.ask("execute", "central-mgmt", "register-device", "FMG-VM0000000002", "pass")
    second.ready()
    assert agent.trusted() == [MANAGER_SERIAL, "FMG-VM0000000002"]
    assert first.errors() == [] and second.errors() == []
