"""The programs from outside: fgfmd -t, fgfmctl's exit codes, scripts, JSON."""

import json
import os
import pty
import select
import socket
import subprocess
import time

import pytest

import expect
from harness import DEVICE_SERIAL, FAST, FGFMCTL, FGFMD, HARMLESS_SET, HARMLESS_UNSET, MANAGER_SERIAL, real
from netns import poll, run


def test_good_files_pass_the_check(lab):
    """`fgfmd -t` on files in order: nothing said, exit 0."""
    done = lab.agent.check_files()
    assert done.returncode == 0 and expect.error_lines(done.stdout + done.stderr) == []


@pytest.mark.parametrize("text, line", [
    ('config agent\n    set certificate "open\nend\n', 2), ("config agent\n    set colour blue\nend\n", 2),
    ("config agent\n    set netns x\n", 3), ("config agent\n    set manager-port 99999\nend\n", 2),
    ("config agent\n    set tcp-forward x\nend\n", 2), ("config nonsense\nend\n", 1), ("end\n", 1),
    ("config agent\n    set listen perhaps\nend\n", 2),
], ids=["open-quote", "unknown-option", "no-end", "port-out-of-range", "bad-list", "unknown-table", "end-alone",
        "bad-choice"])
def test_errors_in_the_bootstrap_file(lab, text, line):
    """Each error as FILE:LINE:COLUMN: text, exit 1."""
    agent = lab.agent
    agent.bootstrap_file.write_text(text)
    done = run(FGFMD, "-c", agent.bootstrap_file, "-t", check=False)
    errors = expect.error_lines(done.stdout + done.stderr)
    assert done.returncode == 1
    assert any(name == str(agent.bootstrap_file) and abs(int(at) - line) <= 1 and int(column) >= 1
               for name, at, column, _ in errors), done.stdout + done.stderr


def test_every_error_is_shown(lab):
    """Not only the first one, and those of the device configuration too."""
    lab.agent.set(colour="blue", listen="perhaps")
    lab.agent.saved.write_text("config system global\n    set flurb 1\nend\n")
    done = lab.agent.check_files()
    errors = expect.error_lines(done.stdout + done.stderr)
    assert done.returncode == 1
    assert len([e for e in errors if e[0] == str(lab.agent.bootstrap_file)]) >= 2
    assert any(e[0] == str(lab.agent.saved) and e[1] == "2" for e in errors)


@pytest.mark.parametrize("setting", ["certificate", "private_key", "ca_certificate"])
def test_missing_files_are_named(lab, setting):
    """A certificate file that is not there is named."""
    lab.agent.set(**{setting: '"/nonexistent/file.pem"'})
    done = lab.agent.check_files()
    assert done.returncode == 1 and "/nonexistent/file.pem" in done.stdout + done.stderr


def test_bad_files_keep_the_daemon_from_starting(lab):
    """What -t refuses does not start either."""
    lab.agent.set(colour="blue")
    lab.agent.write_bootstrap()
    done = run(*lab.device_ns.enter(), FGFMD, "-c", lab.agent.bootstrap_file, "-f", check=False)
    assert done.returncode == 1 and expect.error_lines(done.stdout + done.stderr)


@pytest.mark.parametrize("program", [FGFMD, FGFMCTL])
def test_usage_errors(program):
    """A wrong option is bad usage: exit 2."""
    assert run(program, "--no-such-option", check=False).returncode == 2


def test_version():
    """-V names the program."""
    done = run(FGFMD, "-V")
    assert "fgfmd" in done.stdout


def test_no_daemon(lab):
    """Exit 3 when nobody listens."""
    assert lab.agent.ctl("get", "system", "status").returncode == 3


def test_exit_codes(lab):
    """0 done, 1 failed with the return code on stderr."""
    agent = lab.agent.start().wait_ready()
    assert agent.ctl("get", "system", "status").returncode == 0
    done = agent.ctl("get", "system", "nonsense")
    assert done.returncode == 1 and expect.command_fail(-61) in done.stderr
    done = agent.ctl("execute", "central-mgmt", "unregister-device", "FMG-VM0000000099")
    assert done.returncode == 1 and "Command fail. Return code -" in done.stderr


def test_status_text(lab):
    """The operator's view in words."""
    _manager, agent = lab.connected()
    shown = expect.labelled(agent.ask("diagnose", "fdsm", "central-mgmt-status"))
    assert shown["Connection status"] == expect.UP
    assert shown["Registration status"] == expect.REGISTERED
    assert MANAGER_SERIAL in shown.values()
    assert DEVICE_SERIAL in agent.ask("get", "system", "status")
    assert set(expect.checksums(agent.ask("get", "system", "mgmt-csum"))) >= {"global", "all"}


def test_checksum_status(lab):
    """Whether what runs is what is saved; not so while an install waits for its proof."""
    manager, agent = lab.connected()
    saved = agent.ask_json("get", "system", "checksum", "status")
    assert saved["saved"] == "yes"
    assert set(expect.checksums(agent.ask("get", "system", "checksum", "status"))) >= {"global", "all"}
    manager.behave("auth.answer=off")
    manager.install("c1", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    pending = agent.ask_json("get", "system", "checksum", "status")
    assert pending["saved"].startswith("no") and pending != {**saved, "saved": pending["saved"]}


@pytest.mark.parametrize("words", [
    ("get", "system", "status"), ("diagnose", "fdsm", "central-mgmt-status"), ("diagnose", "fgfm", "session"),
    ("diagnose", "fgfm", "trust-list"), ("diagnose", "fgfm", "install-session"),
    ("get", "system", "mgmt-csum"), ("trust-list",)], ids="-".join)
def test_json_output(lab, words):
    """--json prints one JSON document for each command an operator uses."""
    _manager, agent = lab.connected()
    assert isinstance(agent.ask_json(*words), (dict, list))


def test_json_errors(lab):
    """A failed command under --json: exit 1, and still JSON if anything is printed on stdout."""
    agent = lab.agent.start().wait_ready()
    done = agent.ctl("get", "system", "nonsense", json_output=True)
    assert done.returncode == 1
    if done.stdout.strip():
        json.loads(done.stdout)


def test_script_changes_and_saves(lab):
    """A script takes effect and is saved at its outermost end."""
    agent = lab.agent.start().wait_ready()
    done = agent.script('config system global\n    set hostname "by-script"\nend\n')
    assert done.returncode == 0, done.stderr
    assert 'set hostname "by-script"' in agent.saved.read_text()
    assert "by-script" in agent.ask("show", "system", "global")


def test_script_goes_on_after_a_failure(lab):
    """Exit 1 if any command failed; the others are done."""
    agent = lab.agent.start().wait_ready()
    done = agent.script('config system global\n    set flurb 1\n    set hostname "still"\nend\n')
    assert done.returncode == 1 and expect.command_fail(-61) in done.stderr
    assert 'set hostname "still"' in agent.saved.read_text()


def test_script_that_ends_inside_a_block(lab):
    """-160, and nothing changed; a single command may be one, too."""
    agent = lab.agent.start().wait_ready()
    for done in (agent.script('config system global\n    set hostname "half"\n'),
                 agent.ctl("config", "system", "global"), agent.ctl("get \"system")):
        assert done.returncode == 1 and expect.command_fail(-160) in done.stderr
    assert "half" not in agent.saved.read_text()


@pytest.mark.parametrize("script, code", [
    ('config system interface\nedit "wan1"\nset ip 300.1.1.1 255.255.255.0\nend\n', -8),
    ('config system interface\nedit "modem"\nunset type\nend\n', -23),
    ("config system interface\nedit \"wan1\"\nset mtu 1\nend\n", -651),
    ('config system interface\ndelete "nobody"\nend\n', -3),
    (f'config system global\nset hostname "{"x" * 300}"\nend\n', -1),
    ("config agent\nend\n", -61),
], ids=["address", "unset", "range", "no-entry", "too-long", "agent-table"])
def test_return_codes(lab, script, code):
    """The codes an operator knows."""
    agent = lab.agent.start().wait_ready()
    done = agent.script(script)
    assert done.returncode == 1 and expect.command_fail(code) in done.stderr


def test_backup_and_restore(lab):
    """The configuration as a file, written and read by the operator's own tool."""
    agent = lab.agent.start().wait_ready()
    path = lab.folder / "backup.conf"
    agent.ask("execute", "backup", "config", str(path))
    saved = path.read_text()
    assert DEVICE_SERIAL in saved
    assert agent.script('config system global\nset hostname "other"\nend\n').returncode == 0
    agent.ask("execute", "restore", "config", str(path))
    assert DEVICE_SERIAL in agent.ask("show", "system", "global")


class Shell:
    """fgfmctl on a terminal of its own."""

    def __init__(self, agent):
        self.seen = ""
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.execve(FGFMCTL, [FGFMCTL, "--socket", str(agent.socket)], {**os.environ, "TERM": "vt100"})

    def type(self, keys, until, timeout=5.0):
        """Type, and wait for a text that comes after it."""
        start = len(self.seen)
        os.write(self._terminal, keys.encode())
        deadline = time.monotonic() + timeout
        while until not in self.seen[start:]:
            assert time.monotonic() < deadline, f"{until!r} did not come after {keys!r}: {self.seen[start:]!r}"
            if select.select([self._terminal], [], [], 0.1)[0]:
                self.seen += os.read(self._terminal, 65536).decode(errors="replace")
        return self.seen[start:]

    def end(self):
        os.write(self._terminal, b"exit\n")
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def test_shell(lab):
    """The interactive shell: completion, blocks in the prompt, quotes over lines, debug lines, exit."""
    manager, agent = lab.connected()
    shell = Shell(agent)
    shell.type("", "fgfm # ")
    shell.type("dia\tfg\tses\t\n", "TLS version: ")
    shell.type("conf sys inter\n", "(interface) # ")
    shell.type('edit "wan1"\n', "(wan1) # ")
    shell.type('set alias "first\n', "> ")
    shell.type('second"\n', "(wan1) # ")
    shell.type("end\n", "fgfm # ")
    assert "second" in agent.saved.read_text()
    assert "Return code -61" in shell.type("nonsense\n", "fgfm # ")
    shell.type("diagnose debug enable\n", "fgfm # ")
    manager.call("drop")
    shell.type("", "FGFMs: ")
    assert shell.end() == 0


def test_order_of_entries_is_saved(lab):
    """A move alone is a change: saved, and seen in the checksum."""
    agent = lab.agent.start().wait_ready()
    before = agent.ask("get", "system", "mgmt-csum")
    assert agent.script('config system interface\nmove "modem" before "wan1"\nend\n').returncode == 0
    text = agent.saved.read_text()
    assert text.index('edit "modem"') < text.index('edit "wan1"')
    assert agent.ask("get", "system", "mgmt-csum") != before


def test_descriptors_nobody_asked_for(lab):
    """Files pushed at the control socket are closed: they cannot use up the agent's descriptors."""
    agent = lab.agent.start().wait_ready()
    folder = f"/proc/{agent.process.program_pid}/fd"
    before = len(os.listdir(folder))
    with socket.socket(socket.AF_UNIX) as client, open("/dev/null", "rb") as null:
        client.connect(str(agent.socket))
        for _ in range(50):
            socket.send_fds(client, [b"C\0\0\0\1\0"], [null.fileno()] * 2)
        agent.ask("get", "system", "status")
        assert len(os.listdir(folder)) <= before + 4


def test_socket_is_private(lab):
    """Mode 0660."""
    agent = lab.agent.start().wait_ready()
    assert agent.socket.stat().st_mode & 0o777 == 0o660


def test_secrets_on_disk_are_private(lab):
    """Nothing under the state directory is readable by others."""
    _manager, agent = lab.connected()
    open_files = [p.name for p in agent.state.rglob("*") if p.is_file() and p.stat().st_mode & 0o077]
    assert open_files == []


def test_shell_inside_a_block_when_an_install_comes(lab):
    """Its `end` saves nothing of the configuration that is being tested."""
    manager, agent = lab.connected(faketime=FAST)
    words = [FGFMCTL, "--socket", str(agent.socket)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as shell:
        shell.stdin.write("config system interface\nedit modem\nset alias mine\nnext\n")
        shell.stdin.flush()
        poll(lambda: "mine" in agent.ask("show", "system", "interface"), 5, "the shell's change")
        manager.behave("auth.answer=off")
        manager.install("s1", HARMLESS_SET, HARMLESS_UNSET)
        agent.wait_install_state(expect.TESTING)
        shell.stdin.write("end\n")
        shell.stdin.close()
        shell.wait(10)
    assert "renamed" not in agent.saved.read_text() and "mine" in agent.saved.read_text()
    agent.ask("execute", "fgfm", "install", "revert")
    manager.well_behaved()
    assert manager.verdict("s1", real(300))[0] == "rolled-back"
    assert "mine" in agent.ask("show", "system", "interface") and "renamed" not in agent.saved.read_text()
