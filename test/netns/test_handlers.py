"""The example handlers: spoken to as the agent does, and by the agent itself."""

import json
import subprocess

import pytest

import expect
from harness import HARMLESS_SET, HARMLESS_UNSET, REAL_TIME, ROOT
from netns import PYTHON, poll

EXAMPLE = ROOT / "etc" / "handlers" / "system.ntp"

NTP = {"ntpsync": "enable", "type": "custom", "syncinterval": "60", "source-ip": "0.0.0.0", "source-ip6": "::",
       "server-mode": "disable", "interface": [], "ntpserver": []}
SERVER = {"id": "1", "server": "192.0.2.123", "ntpv3": "disable", "authentication": "disable", "key": "", "key-id": "0"}


def copy_example(target, folder):
    """The handler, with chrony's file and program in a folder of the test's; returns that file."""
    sources = folder / "fgfmd.sources"
    target.write_text(EXAMPLE.read_text().replace('"/etc/chrony/sources.d/fgfmd.sources"', repr(str(sources)))
                      .replace('"/usr/bin/chronyc"', repr(str(folder / "chronyc"))))
    return sources


@pytest.fixture
def ntp(tmp_path):
    """Tells a copy of the handler that writes into the test's folder; returns (answers, lines of the file)."""
    copy = tmp_path / "system.ntp"
    sources = copy_example(copy, tmp_path)

    def tell(*entries):
        changes = [{"table": "system ntp", "operation": "change", "key": "", "old": None, "new": e} for e in entries]
        lines = "".join(json.dumps(change) + "\n" for change in changes)
        done = subprocess.run([PYTHON, copy], input=lines, capture_output=True, text=True, check=True, timeout=20)
        text = sources.read_text().splitlines()[1:] if sources.exists() else None
        return [json.loads(line) for line in done.stdout.splitlines()], text
    return tell


@pytest.mark.parametrize("change, want", [
    ({"ntpserver": [SERVER]}, ["server 192.0.2.123 iburst maxpoll 11"]),
    ({"ntpserver": [SERVER, {**SERVER, "id": "2", "server": "time.example.org", "ntpv3": "enable"}],
      "syncinterval": "1"},
     ["server 192.0.2.123 iburst maxpoll 5", "server time.example.org iburst maxpoll 5 version 3"]),
    ({"ntpserver": [SERVER], "syncinterval": "1440"}, ["server 192.0.2.123 iburst maxpoll 16"]),
    ({"ntpserver": [SERVER], "ntpsync": "disable"}, None),
    ({"ntpserver": []}, None)], ids=["one", "two", "seldom", "disabled", "none"])
def test_servers(ntp, change, want):
    assert ntp({**NTP, **change}) == ([{"code": 0}], want)


@pytest.mark.parametrize("change, code", [
    ({"type": "fortiguard"}, -7),
    ({"ntpserver": [{**SERVER, "authentication": "enable"}]}, -7),
    ({"ntpserver": [{**SERVER, "server": "a\nserver 203.0.113.1"}]}, -651),
    ({"ntpserver": [{**SERVER, "server": "a key 1"}]}, -651),
    ({"ntpserver": [{**SERVER, "server": "-x"}]}, -651),
    ({"ntpserver": [{**SERVER, "server": ""}]}, -651)],
                         ids=["vendors", "keys", "line-end", "words", "option", "empty"])
def test_refusals(ntp, change, code):
    """Each with its reason, and the file stays as it is."""
    answers, text = ntp({**NTP, "ntpserver": [SERVER]}, {**NTP, **change})
    assert answers[0] == {"code": 0} and answers[1]["code"] == code and answers[1]["message"]
    assert text == ["server 192.0.2.123 iburst maxpoll 11"]


def test_deleted_and_back(ntp):
    """The file goes with the last server."""
    assert ntp({**NTP, "ntpserver": [SERVER]}, {**NTP, "ntpsync": "disable"}) == ([{"code": 0}, {"code": 0}], None)
    assert ntp(None) == ([{"code": 0}], None)


# --- by the agent -----------------------------------------------------------------------------------------------------

WRITTEN = "# Written by fgfmd from `config system ntp`.\n"
BEFORE, AFTER = "server 192.0.2.1 iburst maxpoll 11\n", "server time.example.org iburst maxpoll 6\n"


def ntp_script(server, minutes):
    return (f"config system ntp\n    set ntpsync enable\n    set type custom\n    set syncinterval {minutes}\n"
            f"    config ntpserver\n        edit 1\n            set server {server}\n        next\n    end\nend\n")


@pytest.fixture
def chrony(lab):
    """The example in the agent's handler directory, and a chronyc that keeps what it is told. Returns the folder."""
    handlers, folder = lab.folder / "handlers", lab.folder / "chrony"
    for made in (handlers, folder):
        made.mkdir(mode=0o755)
    program = handlers / "system.ntp"
    copy_example(program, folder)
    program.chmod(0o755)
    (folder / "chronyc").write_text(f"#!/bin/sh\necho \"$@\" >> {folder}/told\n")
    (folder / "chronyc").chmod(0o755)
    lab.agent.set(handler_directory=f'"{handlers}"')
    return folder


def wait_sources(chrony, text):
    """Until chrony's file says so, and no more; None: until there is none."""
    path = chrony / "fgfmd.sources"
    wanted = WRITTEN + text if text else None
    poll(lambda: (path.read_text() if path.exists() else None) == wanted, 5, f"{text!r} in {path}")


@pytest.mark.parametrize("before", [None, BEFORE], ids=["none", "another"])
def test_ntp_is_taken_back(lab, chrony, before):
    """The file of an install that does not hold goes again, or is the one of before."""
    lab.agent.configure(more=ntp_script("192.0.2.1", 60) if before else "")
    manager, agent = lab.connected(faketime=REAL_TIME)  # a Python program may need some of the 10 s it has
    wait_sources(chrony, before)
    manager.behave("auth.answer=off")
    manager.install("n1", ntp_script("time.example.org", 2), "")
    agent.wait_install_state(expect.TESTING)
    wait_sources(chrony, AFTER)
    agent.ask("execute", "fgfm", "install", "revert")
    manager.well_behaved()
    assert manager.verdict("n1", 60)[0] == "rolled-back"
    wait_sources(chrony, before)
    assert manager.errors() == []


def test_ntp_is_applied_again(lab, chrony):
    """After a start, also when the file is lost; chrony is told each time."""
    manager, agent = lab.connected(faketime=REAL_TIME)
    assert manager.install_and_wait("n1", ntp_script("time.example.org", 2), "")[0] == "committed"
    assert {code for code, _ in manager.result_lines("n1")} == {0}
    wait_sources(chrony, AFTER)
    agent.kill()
    (chrony / "fgfmd.sources").unlink()
    agent.start(faketime=REAL_TIME).wait_ready()
    wait_sources(chrony, AFTER)
    poll(lambda: (chrony / "told").read_text() == "reload sources\n" * 2, 5, "chrony to be told twice")


def test_ntp_is_refused(lab, chrony):
    """Its reason reaches the manager, and nothing else is held up."""
    manager, agent = lab.connected(faketime=REAL_TIME)
    script = "config system ntp\n    set ntpsync enable\n    set type fortiguard\nend\n" + HARMLESS_SET
    assert manager.install_and_wait("n1", script, HARMLESS_UNSET)[0] == "committed"
    assert [code for code, command in manager.result_lines("n1") if command == "end"] == [-7, 0]
    wait_sources(chrony, None)
    assert "only type custom is known here" in agent.log() and "ntpsync" not in agent.saved.read_text()
