"""Registration: first contact by a manager that dials, an operator's commands, and what becomes of the list."""

import pytest

import expect
from harness import DEVICE_SERIAL, FAST, MANAGER_IP, MANAGER_SERIAL, real
from netns import poll
from test_listen import dial, listen_only

PASSWORD = "Local-Admin-7"
UUID = "0a8bb2a6-3e5c-51ee-9d7b-8f1a2b3c4d5e"


def admin(*lines, name="admin", password=PASSWORD, profile="super_admin"):
    more = "".join(f"{line}\n" for line in lines)
    return (f'config system admin\nedit "{name}"\nset accprofile "{profile}"\nset password "{password}"\n{more}'
            "next\nend\n")


def waiting(lab, script=None, user="admin", password=PASSWORD, **options):
    """A listening agent with an empty list and an administrator, and a manager that logs in. Returns both."""
    listen_only(lab.agent)
    manager = lab.manager(behaviour=[f"auth.set.user={user}", f"auth.set.passwd={password}"])
    agent = lab.agent.start(**options).wait_ready()
    done = agent.script(script or admin())
    assert done.returncode == 0, done.stderr
    return manager, agent


def refused(lab, manager, agent, start=0):
    """Dials, and is turned away before it learns anything."""
    mark = manager.mark()
    dial(lab, manager)
    manager.wait("session_closed", since=mark)
    assert agent.trusted() == [] and manager.events("get_ip", since=mark) == []
    return agent.log()[start:]


def test_first_contact_with_an_administrator(lab):
    """An empty list and a manager that dials: a local administrator's credentials open the door, for good."""
    manager, agent = waiting(lab)
    dial(lab, manager)
    manager.ready()
    assert agent.trusted() == [MANAGER_SERIAL]
    assert agent.ask_json("diagnose", "fgfm", "trust-list")["entries"][0]["how"] == "manager-initiated"
    manager.behave("auth.set.user=", "auth.set.passwd=")
    mark = manager.mark()
    manager.call("drop")
    dial(lab, manager)
    manager.ready(since=mark)
    assert manager.errors() == []


@pytest.mark.parametrize("script, user, password", [
    (None, "admin", "guess"),
    (None, "nobody", PASSWORD),
    (None, "", ""),
    (admin(profile="super_admin_readonly"), "admin", PASSWORD),
    (admin("set trusthost1 10.1.0.0 255.255.0.0"), "admin", PASSWORD),
    (admin("set remote-group \"g\"", "set remote-auth enable"), "admin", PASSWORD),
    ('config system admin\nedit "admin"\nset accprofile "super_admin"\nnext\nend\n', "admin", ""),
    (admin(password="ENC"), "admin", ""),
], ids=["wrong-password", "unknown-user", "nothing-said", "reads-only", "from-elsewhere", "remote", "no-password",
        "odd-password"])
def test_first_contact_is_refused(lab, script, user, password):
    """Without the credentials of somebody who may give the box away nobody comes in."""
    manager, agent = waiting(lab, script, user, password)
    log = refused(lab, manager, agent)
    assert "opened the first contact, but user and password are not a local administrator's" in log
    assert expect.search(r'Administrator\'s login by a manager".*status="failed"', log)


def test_password_is_kept_as_a_hash_alone(lab):
    """Not in a file, a log, an output; and what the file says is read back."""
    manager, agent = waiting(lab)
    saved = agent.saved.read_text()
    assert 'set password "ENC $y$' in saved
    shown = agent.ask("show", "system", "admin") + agent.ask("show", "full-configuration")
    assert "ENC ***" in shown and "$y$" not in shown
    agent.stop()
    agent.restart().wait_ready()
    assert agent.saved.read_text() == saved
    dial(lab, manager)
    manager.ready()
    everything = agent.log() + agent.saved.read_text() + shown + agent.ask("diagnose", "fgfm", "session")
    assert PASSWORD not in everything
    assert PASSWORD.encode() not in b"".join(p.read_bytes() for p in agent.state.rglob("*") if p.is_file())


def test_clear_password_in_the_saved_file(lab):
    """Somebody who edits the file by hand finds a hash there after the next save."""
    listen_only(lab.agent, more=admin())
    manager = lab.manager(behaviour=["auth.set.user=admin", f"auth.set.passwd={PASSWORD}"])
    agent = lab.agent.start().wait_ready()
    dial(lab, manager)
    manager.ready()
    agent.script('config system global\nset hostname "other"\nend\n')
    assert PASSWORD not in agent.saved.read_text()


def test_guesses_are_limited(lab):
    """Three wrong ones, and for a minute not even the right one is looked at; each is an event."""
    manager, agent = waiting(lab, password="guess", faketime=FAST)
    for _ in range(3):
        refused(lab, manager, agent)
    manager.behave(f"auth.set.passwd={PASSWORD}")
    log = refused(lab, manager, agent)
    assert log.count('status="failed"') == 4 and 'reason="locked after failed logins"' in log
    assert "guess" not in log

    def let_in():
        manager.call("dial", address="192.168.48.81", port=541)
        return agent.trusted()
    poll(let_in, real(60), "the lock to end", every=0.3)


def test_no_login_with_a_bad_certificate(lab):
    """Credentials are looked at last: who is no manager by its certificate cannot guess."""
    manager, agent = waiting(lab)
    manager.use_certificate(lab.pki, "manager-wrongca")
    assert "Administrator's login" not in refused(lab, manager, agent)


def test_no_login_for_a_stranger_when_somebody_is_listed(lab):
    """With a manager in the list credentials are worth nothing."""
    manager, agent = waiting(lab)
    dial(lab, manager)
    manager.ready()
    manager.use_certificate(lab.pki, "manager-02", "FMG-VM0000000002")
    mark = manager.mark()
    manager.call("drop")
    dial(lab, manager)
    manager.wait("get_auth", since=mark)
    agent.wait_log(expect.log("not in list", sn="FMG-VM0000000002"))
    assert agent.trusted() == [MANAGER_SERIAL] and agent.log().count("login by a manager") == 1


def test_pinned_serial_numbers_hold_for_managers_that_dial(lab):
    """`set serial-number` names who may come, with credentials or without."""
    listen_only(lab.agent, central='    set serial-number "FMG-VM0000000009"\n', more=admin())
    manager = lab.manager(behaviour=["auth.set.user=admin", f"auth.set.passwd={PASSWORD}"])
    agent = lab.agent.start().wait_ready()
    assert "not one of the 1 configured serial numbers" in refused(lab, manager, agent)


def test_dialled_manager_needs_no_login(lab):
    """Credentials in the reply of a manager that the device has dialled are not looked at."""
    manager, agent = lab.connected(lab.manager(behaviour=["auth.set.user=admin", "auth.set.passwd=wrong"]))
    assert agent.trusted() == [MANAGER_SERIAL] and "login by a manager" not in agent.log()
    assert manager.errors() == []


def test_register_device_for_a_manager_that_dials(lab):
    """An operator lets exactly one serial number in, whoever opens the connection."""
    listen_only(lab.agent)
    manager = lab.manager(register=False)
    agent = lab.agent.start().wait_ready()
    agent.ask("execute", "central-mgmt", "register-device", MANAGER_SERIAL, "let-me-in")
    dial(lab, manager)
    assert manager.wait("dev_register")["good"]
    manager.wait("ready")
    assert agent.trusted() == [MANAGER_SERIAL]
    assert "let-me-in" not in agent.log()


# commands

def test_set_mgmt_id(lab):
    """The management id an operator sets is what the manager hears next, and outlives a restart."""
    manager, agent = lab.connected()
    manager.behave("ip.set.overwrite_fmgid=0", f"ip.set.mgmtid={UUID}")
    agent.ask("execute", "central-mgmt", "set-mgmt-id", UUID.upper())
    agent.stop()
    mark = manager.mark()
    agent.restart()
    assert manager.wait("get_auth", since=mark)["keys"]["mgmtid"] == UUID.upper()
    agent.wait_log('logdesc="Management id set"')


@pytest.mark.parametrize("given", ["", "xyz", "1 2", "1" * 64, "${x}"])
def test_bad_mgmt_id(lab, given):
    """What is no id changes nothing."""
    manager, agent = lab.connected()
    assert agent.ctl("execute", "central-mgmt", "set-mgmt-id", given).returncode == 1
    assert agent.status()["mgmtid"] == "247331677"
    manager.install_and_wait("m1", f"execute central-mgmt set-mgmt-id {UUID}\n", "")
    assert (-37, f"execute central-mgmt set-mgmt-id {UUID}") in manager.result_lines("m1")


def test_replacement_of_a_failed_manager(lab):
    """RMA: the new one at the old address stays a stranger until an operator on the device lets it in."""
    manager, agent = lab.connected()
    new = "FMG-VM0000000002"
    manager.use_certificate(lab.pki, "manager-02", new)
    mark = manager.mark()
    manager.call("drop")
    agent.wait_log(expect.log("not in list", sn=new))
    agent.ask("execute", "central-mgmt", "register-device", new, "pass")
    manager.ready(since=mark)
    assert agent.trusted() == [MANAGER_SERIAL, new]
    agent.ask("execute", "central-mgmt", "unregister-device", MANAGER_SERIAL)
    assert agent.trusted() == [new]
    assert manager.wait("ready", since=mark)
    events = [line for line in agent.log().splitlines() if 'logid="0100053411"' in line]
    assert [expect.search(r'logdesc="([^"]*)"', e)[1] for e in events] == [
        "Manager registered", "Manager admitted by register-device", "Manager registered", "Manager unregistered"]


def test_same_serial_from_another_authority(lab):
    """A replacement that took the serial number over but not the issuer is refused until the old entry is gone."""
    manager, agent = lab.connected()
    assert agent.trusted() == [MANAGER_SERIAL]
    agent.ask("execute", "central-mgmt", "unregister-device", MANAGER_SERIAL)
    poll(lambda: agent.trusted() == [MANAGER_SERIAL], 10, "first contact again")
    assert manager.errors() == []


def test_unregister_ends_what_came_in(lab):
    """The session of a manager that dialled ends with its entry, and it does not come back by itself."""
    manager, agent = waiting(lab)
    dial(lab, manager)
    manager.ready()
    mark = manager.mark()
    agent.ask("execute", "central-mgmt", "unregister-device", MANAGER_SERIAL)
    manager.wait("session_closed", since=mark)
    manager.behave("auth.set.passwd=forgotten")
    refused(lab, manager, agent)
    assert DEVICE_SERIAL in agent.ask("get", "system", "status") and MANAGER_IP in agent.log()
