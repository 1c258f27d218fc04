"""JSON requests of the manager's."""

import json

import pytest

import expect
from control import ControlError
from harness import DEVICE_SERIAL, FAST, HARMLESS_SET, MANAGER_SERIAL, move_wan1, real

GLOBAL = "/cli/global/system/global"


def send(manager, text, **keys):
    """One request as text; the reply, parsed."""
    back = manager.call("open", keys={"file_exch_cmd": "put_json_cmd", **keys}, streams=[text])
    assert back["streams"], back
    return json.loads(back["streams"][0])


def ask(manager, method, url, data=None, number=1, **keys):
    """One operation; (code, its result)."""
    param = {"url": url} | ({} if data is None else {"data": data})
    reply = send(manager, json.dumps({"id": number, "method": method, "params": [param]}), **keys)
    assert reply["id"] == number
    return reply["result"][0]["status"]["code"], reply["result"][0], reply


def test_get(lab):
    """A table, an entry, a singleton, by both kinds of path."""
    manager, _agent = lab.connected()
    code, one, _reply = ask(manager, "get", GLOBAL)
    assert code == 0 and one["data"]["hostname"] == DEVICE_SERIAL
    code, one, _reply = ask(manager, "get", "/api/v2/cmdb/system/interface")
    assert code == 0 and {entry["name"] for entry in one["data"]} == {"wan1", "modem"}
    code, one, _reply = ask(manager, "get", "/api/v2/cmdb/system/interface/wan1", deflate="gzip")
    assert code == 0 and one["data"]["ip"] == "192.168.48.81 255.255.255.0"
    assert one["data"]["allowaccess"][0] == "ping"
    assert ask(manager, "get", "/cli/global/system/interface/none")[0] == -3
    assert manager.errors() == []


def test_secrets_are_masked(lab):
    """A password does not come back."""
    manager, agent = lab.connected()
    assert agent.script('config system admin\nedit "adm"\nset accprofile "super_admin"\nset password "Verysecret1"\nnext\nend\n').returncode == 0
    code, one, _reply = ask(manager, "get", "/cli/global/system/admin/adm")
    assert code == 0 and one["data"]["password"] == "ENC ***"


def test_a_set_is_an_install(lab):
    """Journaled, tested, saved; the reply comes with the verdict."""
    manager, agent = lab.connected()
    mark = manager.mark()
    code, _one, reply = ask(manager, "set", GLOBAL, {"hostname": "renamed", "admintimeout": 7})
    assert code == 0 and reply["install"]["result"] == "committed" and "error" not in reply
    assert manager.ready(since=mark), "the connection test is a fresh session"
    text = agent.saved.read_text()
    assert 'set hostname "renamed"' in text and "set admintimeout 7" in text
    (receipt,) = agent.receipts()
    assert receipt["id"] == reply["install"]["id"] and receipt["manager"] == MANAGER_SERIAL
    assert ask(manager, "set", GLOBAL, {"admintimeout": None})[0] == 0
    assert "admintimeout" not in agent.saved.read_text()


def test_add_update_delete(lab):
    """Each wants the entry to be there, or not."""
    manager, agent = lab.connected()
    table, entry = "/api/v2/cmdb/firewall.address", "/api/v2/cmdb/firewall/address/a%2Fb"
    net = {"name": "a/b", "subnet": "10.1.0.0 255.255.0.0"}
    assert ask(manager, "update", table, net)[0] == -3
    assert ask(manager, "add", table, net)[0] == 0
    assert ask(manager, "add", table, net)[0] == -15
    assert ask(manager, "update", entry, {"subnet": "10.2.0.0/16"})[0] == 0
    assert ask(manager, "get", entry)[1]["data"]["subnet"] == "10.2.0.0 255.255.0.0"
    assert ask(manager, "delete", entry)[0] == 0
    assert ask(manager, "delete", entry)[0] == -3
    assert "a/b" not in agent.saved.read_text()


def test_several_entries_at_once(lab):
    """An array changes entry after entry, the table's first one included; one that comes twice is a duplicate."""
    manager, _agent = lab.connected()
    table = "/api/v2/cmdb/firewall.address"
    names = ["first", "second", "third"]
    assert ask(manager, "add", table, [{"name": n, "subnet": "10.1.0.0 255.255.0.0"} for n in names])[0] == 0
    for method in ("set", "update"):
        assert ask(manager, method, table, [{"name": n, "comment": f"{method} {n}"} for n in names])[0] == 0
        for name in names:
            assert ask(manager, "get", f"{table.replace('.', '/')}/{name}")[1]["data"]["comment"] == f"{method} {name}"
    assert ask(manager, "add", table, [{"name": "twice"}, {"name": "twice"}])[0] == -15


def test_nested_tables(lab):
    """A table inside an entry or a singleton, by its path."""
    manager, agent = lab.connected()
    path = "/cli/global/system/central-management/server-list"
    server = {"id": 3, "server-type": "update", "server-address": "192.0.2.3"}
    assert ask(manager, "add", path, server)[0] == 0
    assert "server-address 192.0.2.3" in agent.saved.read_text()
    assert ask(manager, "get", path + "/3")[1]["data"]["server-address"] == "192.0.2.3"
    assert ask(manager, "delete", path + "/3")[0] == 0


def test_all_or_nothing(lab):
    """One operation that fails keeps the others from being installed."""
    manager, agent = lab.connected()
    before = agent.saved.read_bytes()
    reply = send(manager, json.dumps({"id": "x", "method": "set", "params": [
        {"url": GLOBAL, "data": {"hostname": "half"}}, {"url": GLOBAL, "data": {"colour": "blue"}}]}))
    assert [one["status"]["code"] for one in reply["result"]] == [0, -61] and "install" not in reply
    assert reply["id"] == "x" and agent.saved.read_bytes() == before and agent.receipts() == []


def test_a_set_that_cuts_the_manager_off_is_rolled_back(lab):
    """As an install: the receipt tells."""
    manager, agent = lab.connected(faketime=FAST)
    before = agent.saved.read_bytes()
    since = manager.mark()
    request = {"method": "set", "params": [{"url": "/cli/global/system/interface/wan1",
                                            "data": {"ip": "192.168.49.81/24"}}]}
    with pytest.raises(ControlError):
        back = manager.call("open", keys={"file_exch_cmd": "put_json_cmd"}, streams=[json.dumps(request)])
        assert back["closed"] and back["streams"] == []
        raise ControlError("closed")
    receipt = manager.wait("receipt", real(1300), since)["receipt"]
    assert receipt["verdict"] == "rolled-back" and receipt["id"].startswith("json-")
    assert agent.saved.read_bytes() == before and move_wan1("192.168.49.81") not in agent.saved.read_text()


def test_exec(lab):
    """A few commands that look; nothing else."""
    manager, agent = lab.connected()
    code, one, _reply = ask(manager, "exec", "/cli/global/get/system/status")
    assert code == 0 and DEVICE_SERIAL in one["data"]["output"]
    for command in ("execute/reboot", "execute/central-mgmt/unregister-device/" + MANAGER_SERIAL,
                    "execute/fgfm/install/confirm", "execute/restore/config/x", "execute/backup/config/x",
                    "execute/revision/restore/1", "diagnose/fgfm/trust-list"):
        assert ask(manager, "exec", f"/cli/global/{command}")[0] == 403, command
    assert agent.trusted() == [MANAGER_SERIAL]


@pytest.mark.parametrize("method", ["get", "set"])
def test_bootstrap_options_are_out_of_reach(lab, method):
    """`config agent` answers 403."""
    manager, _agent = lab.connected()
    assert ask(manager, method, "/cli/global/agent", {"tcp-forward": [22]})[0] == 403


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", '{"method":"get"}', '{"method":"get","params":{}}', '{"method":"get","params":[]}',
    '{"method":"get","method":"get","params":[{"url":"/cli/global/system/global"}]}',
    '{"method":"get","params":[{"url":"/cli/global/system/global"}]} x',
    '{"method":"get","params":[{"url":"a\\u0000b"}]}',
    '{"id":' + "[" * 40 + "]" * 40 + ',"method":"get","params":[{"url":"/cli/global/system/global"}]}',
], ids=["empty", "open", "array", "null", "no-params", "params-object", "params-empty", "key-twice", "trailing", "nul",
        "deep"])
def test_requests_without_form(lab, text):
    """An error with a code and a text; the session lives on."""
    manager, _agent = lab.connected()
    reply = send(manager, text)
    assert reply["error"]["code"] == 400 and reply["error"]["message"] and "result" not in reply
    assert ask(manager, "get", GLOBAL)[0] == 0 and manager.errors() == []


@pytest.mark.parametrize("url, code", [
    ("/cli/global/system/nonsense", 404), ("/etc/passwd", 404), ("/cli/global/", 400),
    ("/cli/global/system/interface/%zz", 400), ("/cli/global/system/interface/%00", 400),
    ("/cli/global/system/interface//wan1", 400), ("/cli/global/" + "a/" * 40, 400),
    ("/cli/global/system/interface/wan1/nonsense", 404)])
def test_bad_urls(lab, url, code):
    """Each with its code."""
    manager, _agent = lab.connected()
    assert ask(manager, "get", url)[0] == code


def test_request_over_the_bound(lab):
    """More than 1 MiB: 413, the channel closed, the session lives on."""
    manager, _agent = lab.connected()
    back = manager.call("open", keys={"file_exch_cmd": "put_json_cmd"}, streams=[" " * (1024 * 1024 + 1)])
    assert back["closed"] and back["code"] == "413"
    assert ask(manager, "get", GLOBAL)[0] == 0


@pytest.mark.parametrize("setting", ["set allow-push-configuration disable", "set mode backup"])
def test_settings_that_forbid_writes(lab, setting):
    """Reading is allowed, writing is 403."""
    lab.agent.configure(central=f"    {setting}\n")
    manager, agent = lab.connected()
    before = agent.saved.read_bytes()
    assert ask(manager, "set", GLOBAL, {"hostname": "no"})[0] == 403
    assert ask(manager, "delete", "/cli/global/system/interface/modem")[0] == 403
    assert ask(manager, "get", GLOBAL)[0] == 0
    assert agent.saved.read_bytes() == before


def test_while_an_install_is_pending(lab):
    """A write is denied, and nothing of it stays."""
    manager, agent = lab.connected(faketime=FAST)
    manager.behave("auth.answer=off")
    manager.install("p1", HARMLESS_SET, "")
    agent.wait_install_state(expect.TESTING)
    assert ask(manager, "set", GLOBAL, {"hostname": "no"})[0] == -37
    manager.well_behaved()
    assert manager.verdict("p1", real(200))[0] == "committed"
