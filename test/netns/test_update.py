"""Update packages in the agent: by hand over TFTP, HTTPS and from a file; from the manager; copies for a cluster."""

import contextlib
import hashlib
import json
import os
import pathlib
import pty
import select
import signal
import subprocess
import time

import pytest

import expect
from harness import AT_1970, DEVICE_IP, FAST, FGFMCTL, MANAGER_IP, MANAGER_SERIAL, REAL_TIME, ROOT, real
from netns import poll, run
from servers import Nginx, Rogue, Tftp, certificate

MKPKG = ROOT / "test" / "mkpkg"
CASES = [line.split("\t") for line in (ROOT / "test/golden/package/cases.tsv").read_text().splitlines()]

UPDATED, UPDATE_FAILED, REFUSED = "0100041000", "0100041001", "0100053461"
RESTORED, RESTORE_FAILED, BAD_SIGNATURE = "0100032217", "0100032231", "0100041009"
LEVELS = {"0": "0", "1": "1", "2": "2", "unset": None, "malformed": "low"}
OVERWRITE, UNSIGNED = "This operation will overwrite the current IPS package!", "This package file has no signature"


class Shop:
    """Packages, made once for all tests of this file, and the authority they are signed under."""

    def __init__(self, folder):
        self.folder, self.pki = folder, folder / "pki"
        run(MKPKG, "--pki", self.pki, "--all", folder / "all")

    def make(self, name, *words):
        path = self.folder / f"{name}.pkg"
        if not path.exists():
            run(MKPKG, "--pki", self.pki, "-o", path, *words)
        return path

    def signed(self, version="19.00264", name="idsdb"):
        return self.make(f"{name}-{version}", f"{name}={version}")

    def unsigned(self, version="19.00264", name="idsdb"):
        return self.make(f"{name}-{version}-unsigned", "--unsigned", name, f"{name}={version}")

    def broken(self, case):
        return self.folder / "all" / f"{case}.pkg"

    def good(self, kind):
        return {"signed": self.signed(), "unsigned": self.unsigned(), "bad": self.broken("flipped-payload")}[kind]


class Terminal:
    """fgfmctl at a terminal."""

    def __init__(self, agent, *words):
        self.seen = ""
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            command = [FGFMCTL, "--socket", str(agent.socket), *words]
            os.execve(FGFMCTL, command, {**os.environ, "TERM": "vt100"})

    def read(self, until, timeout=15.0, start=0):
        """Wait until it shows a text, from character `start` on."""
        deadline = time.monotonic() + timeout
        while until not in self.seen[start:]:
            assert time.monotonic() < deadline, f"{until!r} did not come: {self.seen!r}"
            if select.select([self._terminal], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self._terminal, 65536).decode(errors="replace")
                except OSError:
                    assert until in self.seen[start:], f"{until!r} did not come: {self.seen!r}"
        return self

    def answer(self, question, keys):
        """Wait for a question that was not answered yet, and type."""
        start = getattr(self, "answered", 0)
        self.read(question, start=start).read("(y/n)", start=self.seen.index(question, start))
        self.answered = len(self.seen)
        os.write(self._terminal, keys.encode())
        return self

    def end(self):
        """Exit status, when it has ended by itself; everything it says is in `seen`."""
        with contextlib.suppress(OSError):
            while True:
                chunk = os.read(self._terminal, 65536)
                if not chunk:
                    break
                self.seen += chunk.decode(errors="replace")
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def signal(self, number):
        os.kill(self._pid, number)


class Box:
    """An agent with authority and level, and what is installed on it."""

    def __init__(self, lab, shop):
        self.lab, self.agent, self.shop = lab, lab.agent, shop
        self.store = self.agent.state / "packages"
        self.level_file = lab.folder / "security-level"
        self.handlers = lab.folder / "handlers"
        self.handlers.mkdir(mode=0o755)
        lab.folder.chmod(0o755)
        self.agent.set(package_ca=f'"{shop.pki}/root.pem"', security_level_file=f'"{self.level_file}"',
                       handler_directory=f'"{self.handlers}"')

    def start(self, **options):
        self.agent.start(**{"faketime": REAL_TIME, **options})
        self.agent.wait_ready()
        return self

    def level(self, text):
        self.level_file.unlink(missing_ok=True)
        if text is not None:
            self.level_file.write_text(text)

    def order(self, *words, options=("--yes",), **more):
        return self.agent.ctl(*options, *words, **more)

    def restore(self, package, *options, family="ips"):
        """A file, with the first question answered."""
        return self.order("execute", "restore", family, "file", package, options=("--yes", *options))

    def installed(self):
        """{name: (version, signed)}"""
        said = self.agent.ask_json("diagnose", "autoupdate", "versions")
        return {o["name"]: (o["version"], o["signed"]) for o in said["objects"]}

    def snapshot(self):
        """Everything on disk, to see that nothing has changed."""
        return {str(p): os.readlink(p) if p.is_symlink() else hashlib.sha256(p.read_bytes()).hexdigest()
                for p in sorted(self.store.rglob("*")) if p.is_symlink() or p.is_file()}

    def staged(self):
        return list((self.store / ".staging").glob("*"))

    def events(self, logid, start=0):
        return [line for line in self.agent.log()[start:].splitlines() if f'logid="{logid}"' in line]

    def refused(self, done, *reasons):
        """A refusal: the code, the reason; nothing on disk is different, and nothing is left."""
        assert done.returncode == 1 and expect.command_fail(-64) in done.stderr, done.stdout + done.stderr
        for reason in reasons:
            assert reason in done.stdout + done.stderr
        assert self.staged() == []


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    made = Shop(tmp_path_factory.mktemp("shop"))
    made.folder.chmod(0o755)
    return made


@pytest.fixture
def box(lab, shop):
    return Box(lab, shop)


# --- levels ------------------------------------------------------------------------------------------------------------


def fetched_from(box, source):
    """Start the server; returns the words that order a package from it."""
    lab, folder = box.lab, box.shop.folder
    if source == "tftp":
        Tftp(lab, lab.manager_ns, MANAGER_IP, folder)
        return lambda p: ("tftp", p.relative_to(folder), MANAGER_IP)
    if source == "https":
        cert, key = certificate(lab.folder, MANAGER_IP)
        box.agent.set(fetch_ca=f'"{cert}"')
        Nginx(lab, lab.manager_ns, MANAGER_IP, folder, cert, key)
        return lambda p: ("https", f"https://{MANAGER_IP}/{p.relative_to(folder)}")
    return lambda p: ("file", p)


def verdict(level, kind, accepted):
    if kind == "bad":
        return False
    return kind == "signed" or level == "0" or (level in ("1", "unset") and accepted)


@pytest.mark.parametrize("source", ["tftp", "https", "file"])
def test_levels(box, source):
    """Every level with signed, unsigned and badly signed packages; what is refused leaves all as it was."""
    words = fetched_from(box, source)
    box.start()
    assert box.order("execute", "restore", "ips", *words(box.shop.good("signed"))).returncode == 0
    for level, text in LEVELS.items():
        box.level(text)
        for kind, accepted in (("signed", False), ("unsigned", False), ("unsigned", True), ("bad", True)):
            before, mark = box.snapshot(), len(box.agent.log())
            done = box.order("execute", "restore", "ips", *words(box.shop.good(kind)),
                             options=("--yes", "--accept-unsigned") if accepted else ("--yes",))
            what = f"{source}, level {level}, {kind}, accepted {accepted}\n{done.stdout}{done.stderr}"
            assert (done.returncode == 0) == verdict(level, kind, accepted), what
            assert (UNSIGNED in done.stdout) == (level in ("1", "unset") and kind == "unsigned"), what
            if done.returncode:
                assert expect.command_fail(-64) in done.stderr and box.snapshot() == before, what
                assert box.events(RESTORE_FAILED, mark) and box.staged() == [], what
            else:
                assert box.installed()["idsdb"] == ("19.00264", kind == "signed"), what
                assert 'msg="Fortigate updated idsdb(19.00264)"' in box.events(RESTORED, mark)[0], what
            assert bool(box.events(BAD_SIGNATURE, mark)) == (kind == "bad" or kind == "unsigned" and level in
                                                             ("2", "malformed")), what


def test_what_the_guide_shows(box):
    """Its figures, its steps, its words; and never that something unsigned was verified."""
    package = box.shop.make("guide", "--raw-len", "1200241", "--cms-len", "3215", "idsetdb=19.00264")
    box.start()
    shell = Terminal(box.agent)
    shell.read("fgfm # ")
    for line in ("diagnose debug application updated -1", "diagnose debug enable",
                 f"execute restore ips file {package}"):
        os.write(shell._terminal, f"{line}\n".encode())
    shell.answer(OVERWRITE, "y\n").read("installed: idsetdb(19.00264)")
    os.write(shell._terminal, b"exit\n")
    assert shell.end() == 0
    assert "Signature verified for obj 4, ret=0, data_len=1203472, obj_len=1200241, sig_len=3231." in shell.seen
    assert "-Step 1:Unpack obj 4, Total=1, cur=0" in shell.seen and "544e544601000c8f" in shell.seen
    shown = box.agent.ask("diagnose", "autoupdate", "versions")
    assert "Attack Extended Definitions\n---------\nVersion: 19.00264 signed\n" in shown
    assert "Last Updated using manual update on " in shown and "Result: Updates Installed" in shown
    shown = box.agent.ask("diagnose", "autoupdate", "signature", "check-all")
    assert shown == "idsetdb(4,26) signature is valid.\nupdate objects signature check finished.\n"
    mark = len(box.agent.log())
    box.level("0")
    assert box.restore(box.shop.unsigned()).returncode == 0
    assert "verified" not in "".join(line for line in box.agent.log()[mark:].splitlines() if "obj 4" in line)
    assert "idsdb(4,24) signature is missing." in box.agent.ask("diagnose", "autoupdate", "signature", "check-all")


# --- questions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first, second, installed", [
    ("y\n", "y\n", True), ("y\n", "n\n", False), ("n\n", None, False), ("\4", None, False), ("y\n", "\4", False),
    ("y\n", "\n", False)], ids=["yes", "second-no", "first-no", "first-end", "second-end", "second-empty"])
def test_questions_at_a_terminal(box, first, second, installed):
    box.start()
    terminal = Terminal(box.agent, "execute", "restore", "ips", "file", str(box.shop.unsigned()))
    terminal.answer(OVERWRITE, first)
    if second:
        terminal.answer(UNSIGNED, second)
    assert terminal.end() == (0 if installed else 1)
    assert box.installed() == ({"idsdb": ("19.00264", False)} if installed else {})
    assert installed or "Command fail. Return code -64" in terminal.seen


def test_nobody_at_a_terminal(box):
    """End of input, a pipe that says yes, and a script are no."""
    box.start()
    words = ("execute", "restore", "ips", "file", box.shop.signed())
    box.refused(box.order(*words, options=(), stdin=""), OVERWRITE)
    box.refused(box.order(*words, options=(), stdin="y\ny\n"), OVERWRITE)
    box.refused(box.agent.script(" ".join(map(str, words)) + "\n"), OVERWRITE)
    box.refused(box.order("execute", "restore", "ips", "file", box.shop.unsigned(), stdin="y\n"), UNSIGNED)
    box.refused(box.order("execute", "restore", "ips", "file", box.shop.unsigned(), options=("--accept-unsigned",)),
                OVERWRITE)
    assert box.installed() == {}


def test_answers_behind_the_command(box):
    """The options may stand there, too; what else stands there is a word of the command."""
    box.start()
    words = ("execute", "restore", "ips", "file", box.shop.unsigned())
    box.refused(box.order(*words, "--yes", options=()), UNSIGNED)
    assert expect.command_fail(-61) in box.order(*words, "--yes", "now", options=()).stderr
    assert box.order(*words, "--accept-unsigned", "--yes", options=()).returncode == 0
    assert set(box.installed()) == {"idsdb"}


def test_json(box):
    """One object, with the result; questions are not in it."""
    box.start()
    words = ("--yes", "execute", "restore", "ips", "file")
    done = box.agent.ctl(*words, box.shop.signed(), json_output=True)
    said = json.loads(done.stdout)
    assert done.returncode == 0 and said["code"] == 0 and "installed: idsdb(19.00264)" in said["output"]
    done = box.agent.ctl(*words, box.shop.broken("flipped-payload"), json_output=True)
    said = json.loads(done.stdout)
    assert done.returncode == 1 and said["code"] == -64 and "idsdb" in said["error"] and OVERWRITE in done.stderr


def test_an_answer_that_does_not_come(box):
    """After two minutes it is no, and others may update again."""
    box.start(faketime=FAST)
    terminal = Terminal(box.agent, "execute", "restore", "ips", "file", str(box.shop.signed()))
    terminal.read("(y/n)")
    busy = box.restore(box.shop.signed())
    assert busy.returncode == 1 and "an update is under way" in busy.stderr
    assert terminal.end() == 1 and "Nobody has answered." in terminal.seen
    assert box.restore(box.shop.signed()).returncode == 0


def test_cancelling(box):
    """Ctrl-C in the shell ends the command, not the shell; a client that goes takes its command with it."""
    box.start()
    shell = Terminal(box.agent)
    shell.read("fgfm # ")
    os.write(shell._terminal, f"execute restore ips file {box.shop.signed()}\n".encode())
    shell.read("(y/n)")
    os.write(shell._terminal, b"\3")
    shell.read("cancelled").read("fgfm # ", start=shell.seen.index("cancelled"))
    os.write(shell._terminal, b"exit\n")
    assert shell.end() == 0
    terminal = Terminal(box.agent, "execute", "restore", "ips", "file", str(box.shop.signed()))
    terminal.read("(y/n)")
    terminal.signal(signal.SIGKILL)
    terminal.end()
    poll(lambda: box.restore(box.shop.signed()).returncode == 0, 10, "the command to be over")


def test_same_and_older_versions(box):
    """The same again is fine; an older one takes one more question, which no option answers."""
    box.start()
    assert box.restore(box.shop.signed("19.00264")).returncode == 0
    assert box.restore(box.shop.signed("19.00264")).returncode == 0
    older = box.shop.signed("19.00100")
    box.refused(box.restore(older, "--accept-unsigned"))
    assert box.installed()["idsdb"][0] == "19.00264"
    terminal = Terminal(box.agent, "--yes", "execute", "restore", "ips", "file", str(older))
    terminal.read("(y/n)y").answer("19.00100", "y\n")
    assert terminal.end() == 0 and box.installed()["idsdb"][0] == "19.00100"


def test_families(box):
    """Each command installs what is its own."""
    box.start()
    box.refused(box.restore(box.shop.signed(name="virdb"), family="ips"), "virdb")
    assert box.restore(box.shop.signed(name="virdb"), family="av").returncode == 0
    box.refused(box.restore(box.shop.signed(), family="av"), "idsdb")
    assert set(box.installed()) == {"virdb"}


# --- hostile packages --------------------------------------------------------------------------------------------------


def test_hostile_packages(box):
    """Each case by hand at the lowest level: refused, said, and nothing has changed."""
    box.level("0")
    box.start()
    assert box.restore(box.shop.signed()).returncode == 0
    before = box.snapshot()
    for name, check, words in CASES:
        if name == "signer-denied":
            continue  # only a list that is installed denies it; see below
        mark = len(box.agent.log())
        done = box.restore(box.shop.broken(name), "--accept-unsigned")
        what = f"{name}\n{done.stdout}{done.stderr}"
        assert done.returncode == 1 and expect.command_fail(-64) in done.stderr, what
        assert words in done.stdout + done.stderr, what
        assert box.events(RESTORE_FAILED, mark), what
        assert check in ("container", "checksum", "label", "payload", "record") or box.events(BAD_SIGNATURE, mark), what
        assert box.staged() == [], what
    after = box.snapshot()
    assert {k: v for k, v in after.items() if "status" not in k} == {k: v for k, v in before.items()
                                                                      if "status" not in k}
    assert "idsdb(4,24) signature is valid." in box.agent.ask("diagnose", "autoupdate", "signature", "check-all")
    # this sum is not confirmed: a warning
    assert box.restore(box.shop.broken("good-object-header-sum")).returncode == 0
    assert "the sum of the header of object 1 is wrong" in box.agent.log()


def test_a_file_that_changes_while_it_is_read(box):
    """What was judged is what is installed: the agent works on a copy of its own."""
    box.start()
    path = box.lab.folder / "changes.pkg"
    path.write_bytes(box.shop.signed().read_bytes())
    terminal = Terminal(box.agent, "execute", "restore", "ips", "file", str(path))
    terminal.read("(y/n)")
    with open(path, "r+b") as out:  # the descriptor the agent has is of this very file
        out.write(box.shop.broken("flipped-payload").read_bytes())
    terminal.answer(OVERWRITE, "y\n")
    assert terminal.end() == 1 and box.installed() == {}


def write_program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_validator_and_hook(box):
    """A validator sees the payload and nothing else; what it refuses, or what cannot be reloaded, is taken back."""
    seen, roots = box.lab.folder / "seen", box.lab.folder / "roots"
    roots.touch(mode=0o600)
    write_program(box.handlers / "package.idsdb.validate",
                  f"echo tried > {seen}-validate; cat /etc/passwd > /dev/null && exit 9; chmod 666 {roots} && exit 9; "
                  "[ \"$2\" != 19.00265 ] && [ $(wc -c) -gt 100 ]")
    write_program(box.handlers / "package.idsdb.reload",
                  f"echo \"$@\" > {seen}; cmp -s - \"$4\" || exit 7; [ \"$2\" != 19.00266 ]")
    box.start()
    assert box.restore(box.shop.signed("19.00264")).returncode == 0, box.agent.log()[-3000:]
    name, version, state, payload = seen.read_text().split()
    assert (name, version, state) == ("idsdb", "19.00264", "signed") and pathlib.Path(payload).exists()
    assert not pathlib.Path(f"{seen}-validate").exists()
    box.refused(box.restore(box.shop.signed("19.00265")))
    box.refused(box.restore(box.shop.signed("19.00266")))
    assert box.installed()["idsdb"][0] == "19.00264"
    (box.handlers / "package.idsdb.validate").chmod(0o777)
    box.refused(box.restore(box.shop.signed("19.00267")), "package.idsdb.validate")


def test_cancelled_while_reloading(box):
    """Who reads the database has the new one then, so that it stays; what would have come after it does not come."""
    seen, go = box.lab.folder / "seen", box.lab.folder / "go"
    write_program(box.handlers / "package.idsdb.reload",
                  f"echo \"$2\" >> {seen}; [ \"$2\" = 19.00264 ] || while [ ! -e {go} ]; do sleep 0.1; done")
    box.start(faketime=REAL_TIME)
    assert box.restore(box.shop.signed("19.00264")).returncode == 0
    two = box.shop.make("two-newer", "idsdb=19.00265", "idsetdb=19.00265")
    shell = Terminal(box.agent)
    shell.read("fgfm # ")
    os.write(shell._terminal, f"execute restore ips file {two}\n".encode())
    shell.read("(y/n)")
    os.write(shell._terminal, b"y\n")
    poll(lambda: seen.read_text().endswith("19.00265\n"), 10, "the database to be reloaded")
    os.write(shell._terminal, b"\3")
    shell.read("cancelled; a database that is being reloaded is installed all the same")
    os.write(shell._terminal, b"exit\n")
    shell.end()
    busy = box.restore(box.shop.signed("19.00266"))
    assert busy.returncode == 1 and "an update is under way" in busy.stderr
    go.touch()
    poll(lambda: box.installed()["idsdb"][0] == "19.00265", 10, "the update to be over")
    assert seen.read_text() == "19.00264\n19.00265\n" and "idsetdb" not in box.installed()
    assert box.restore(box.shop.signed("19.00266")).returncode == 0


# --- fetching ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, reason", [
    (("tftp", "missing.pkg", MANAGER_IP), ""), (("tftp", "../x.pkg", "-x"), ""),
    (("tftp", "x.pkg", "192.168.48.99"), ""), (("https", f"https://{MANAGER_IP}/missing.pkg"), ""),
    (("https", f"http://{MANAGER_IP}/x.pkg"), ""), (("https", "file:///etc/passwd"), ""),
    (("https", f"https://{DEVICE_IP}/x.pkg"), "")], ids=lambda w: " ".join(w) if isinstance(w, tuple) else "")
def test_what_cannot_be_fetched(box, words, reason):
    """Refused with a reason, and an event."""
    fetched_from(box, "tftp")
    fetched_from(box, "https")
    box.start(faketime=FAST)
    done = box.order("execute", "restore", "ips", *words, timeout=60)
    box.refused(done, reason)
    assert done.stderr.splitlines()[0] and box.events(RESTORE_FAILED) and box.installed() == {}


def test_servers_that_break_the_rules(box):
    """A redirect to plain HTTP, answers of strangers, silence: nothing is installed, and nothing is left."""
    lab = box.lab
    cert, key = certificate(lab.folder, MANAGER_IP)
    box.agent.set(fetch_ca=f'"{cert}"')
    Nginx(lab, lab.manager_ns, MANAGER_IP, box.shop.folder, cert, key,
          locations=f"location /plain {{ return 302 http://{MANAGER_IP}/all/good-rsa.pkg; }}")
    Rogue(lab, lab.manager_ns, "tftp", MANAGER_IP, 69)
    Rogue(lab, lab.manager_ns, "web", MANAGER_IP, 8443, cert.with_suffix(""))
    box.start(faketime=FAST)
    assert box.restore(box.shop.signed()).returncode == 0
    before = box.snapshot()
    for words, reason in ((("https", f"https://{MANAGER_IP}/plain"), "redirect"),
                          (("https", f"https://{MANAGER_IP}:8443/lies"), ""),
                          (("https", f"https://{MANAGER_IP}:8443/short"), ""),
                          (("https", f"https://{MANAGER_IP}:8443/stalls"), ""),
                          (("tftp", "foreign", MANAGER_IP), "package header"),
                          (("tftp", "error", MANAGER_IP), ""), (("tftp", "silent", MANAGER_IP), "")):
        mark = len(box.agent.log())
        done = box.order("execute", "restore", "ips", *words, timeout=60)
        box.refused(done, reason)
        assert "\x1b" not in done.stdout + done.stderr
        assert box.events(RESTORE_FAILED, mark) and box.snapshot() == before, words


def test_a_full_disk(box):
    """No room for the copy: refused, and everything as it was; with room it is installed."""
    state = box.lab.small_state("4m")
    package = box.shop.make("three-megabytes", "--raw-len", "3000000", "idsdb=19.00272")
    box.start()
    assert box.restore(box.shop.signed()).returncode == 0
    before = box.snapshot()
    box.refused(box.restore(package), "No space left")
    assert box.snapshot() == before and box.installed()["idsdb"][0] == "19.00264"
    run("mount", "-o", "remount,size=16m", state)
    assert box.restore(package).returncode == 0 and box.installed()["idsdb"][0] == "19.00272"


def test_killed_in_the_middle(box):
    """Whenever the agent dies, one whole version is current afterwards, and the next update goes through."""
    package = box.shop.make("large", "--raw-len", "20000000", "idsdb=19.00270")
    box.start()
    assert box.restore(box.shop.signed()).returncode == 0
    for delay in (0.02, 0.06, 0.12, 0.2, 0.3):
        command = [FGFMCTL, "--socket", str(box.agent.socket), "--yes", "execute", "restore", "ips", "file", package]
        with subprocess.Popen([str(w) for w in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            time.sleep(delay)
            box.agent.kill()
        box.start()
        poll(box.installed, 10, "what is installed")
        assert box.installed()["idsdb"][0] in ("19.00264", "19.00270") and box.staged() == []
        shown = box.agent.ask("diagnose", "autoupdate", "signature", "check-all")
        assert shown.startswith("idsdb(4,24) signature is valid.\n")
    assert box.restore(package).returncode == 0


def test_clock_at_1970(box):
    """Time is not before the build: what was signed before is good, and what is expired is not."""
    box.start(faketime=AT_1970)
    assert box.restore(box.shop.signed()).returncode == 0
    box.refused(box.restore(box.shop.broken("signer-expired")), "expired")


def test_progress_at_a_terminal(box):
    """Seen at a terminal only."""
    words = fetched_from(box, "https")
    package = box.shop.make("large", "--raw-len", "20000000", "idsdb=19.00270")
    box.start()
    terminal = Terminal(box.agent, "--yes", "execute", "restore", "ips", *map(str, words(package)))
    assert terminal.end() == 0 and "% of 20.0 MB" in terminal.seen
    done = box.order("execute", "restore", "ips", *words(package))
    assert done.returncode == 0 and "% of" not in done.stdout + done.stderr


def test_the_loop_goes_on_meanwhile(box):
    """With a large package in work, the session and other shells are served."""
    package = box.shop.make("large", "--raw-len", "20000000", "idsdb=19.00270")
    manager = box.lab.manager()
    manager.behave("keepalive_every=0.1")
    box.start()
    manager.ready()
    command = [FGFMCTL, "--socket", str(box.agent.socket), "--yes", "execute", "restore", "ips", "file", str(package)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as work:
        longest, rounds = 0.0, 0
        while work.poll() is None:
            begin = time.monotonic()
            box.agent.ask("get", "system", "status")
            longest, rounds = max(longest, time.monotonic() - begin), rounds + 1
        assert work.returncode == 0, work.stdout.read()
    assert rounds and longest < 1.0
    assert manager.errors() == []


# --- automatic updates -------------------------------------------------------------------------------------------------


class UpdateServer:
    """What a manager has to offer, at its port for updates, for whatever path the agent asks."""

    def __init__(self, box, certificate_name="manager"):
        self.folder = box.lab.folder / "offer"
        self.folder.mkdir(mode=0o755)
        pki = box.lab.pki
        self.nginx = Nginx(box.lab, box.lab.manager_ns, MANAGER_IP, self.folder, f"{pki}/{certificate_name}.pem",
                           f"{pki}/{certificate_name}.key", port=8890,
                           locations="location / { try_files /offer.pkg =404; }")

    def offer(self, package):
        fresh = self.folder / "fresh"
        fresh.write_bytes(package.read_bytes())
        fresh.rename(self.folder / "offer.pkg")


def keepalive_version(manager, key, version):
    poll(lambda: [e for e in manager.events("keepalive") if e["keys"].get(key) == version], 15,
         f"a keep-alive with {key}={version}")


def test_update_from_the_manager(box):
    """A manager's word of something newer: fetched, verified, installed, and told in keep-alives."""
    server = UpdateServer(box)
    server.offer(box.shop.signed("20.00001"))
    manager, agent = box.lab.connected(faketime=FAST)
    manager.behave("keepalive.send.ipsdb=20.00001", "keepalive_every=0.2")
    poll(lambda: box.installed().get("idsdb"), real(600, slack=20), "the update")
    assert box.installed()["idsdb"] == ("20.00001", True)
    assert f"idsdb(20.00001) from {MANAGER_IP}:8890" in box.events(UPDATED)[0]
    keepalive_version(manager, "ipsdb", "20.00001")
    assert "Last Updated using scheduled update on" in agent.ask("diagnose", "autoupdate", "versions")
    assert manager.errors() == []


@pytest.mark.parametrize("kind", ["unsigned", "bad", "older"])
def test_update_from_the_manager_is_refused(box, kind):
    """Unsigned ones at every level, bad ones, and older ones are not installed; nobody is asked."""
    box.level("0")
    server = UpdateServer(box)
    box.lab.connected(faketime=REAL_TIME)
    assert box.restore(box.shop.signed("19.00264")).returncode == 0
    server.offer({"unsigned": box.shop.unsigned("20.00001"), "bad": box.shop.broken("flipped-payload"),
                  "older": box.shop.signed("19.00100")}[kind])
    done = box.order("execute", "update-now", options=("--yes", "--accept-unsigned"))
    assert kind == "older" or done.returncode == 1
    assert box.installed()["idsdb"] == ("19.00264", True) and box.staged() == []
    events = box.events(REFUSED if kind == "older" else BAD_SIGNATURE)
    assert len(events) == 1 and (kind != "older" or "version 19.00264 or later expected" in events[0])


def test_update_now(box):
    """By an operator; what there is to say is said."""
    box.start()
    done = box.order("execute", "update-now")
    assert done.returncode == 1 and "no update server is configured, and no manager is connected" in done.stderr
    server = UpdateServer(box)
    server.offer(box.shop.signed("20.00002"))
    manager = box.lab.manager()
    manager.ready()
    box.agent.wait_status(expect.UP)
    done = box.order("execute", "update-now")
    assert done.returncode == 0 and f"Connect to {MANAGER_IP}:8890 ..." in done.stdout, done.stdout + done.stderr
    assert box.installed() == {"idsdb": ("20.00002", True)}
    assert box.order("execute", "update-now").returncode == 0 and len(server.nginx.requests()) == 2


def test_somebody_else_at_the_managers_port(box):
    """Neither the trusted list's key nor its serial number: nothing is taken, and it is said."""
    server = UpdateServer(box, "manager-02")
    server.offer(box.shop.signed("20.00002"))
    box.lab.connected(faketime=REAL_TIME)
    done = box.order("execute", "update-now")
    assert done.returncode == 1 and box.installed() == {} and box.events(UPDATE_FAILED)


def test_configured_server(box):
    """An update server comes before the manager; when it fails, the manager is asked."""
    lab = box.lab
    cert, key = certificate(lab.folder, MANAGER_IP)
    box.agent.set(fetch_ca=f'"{cert}"')
    folder = lab.folder / "mirror"
    folder.mkdir(mode=0o755)
    (folder / "offer.pkg").write_bytes(box.shop.signed("20.00003").read_bytes())
    mirror = Nginx(lab, lab.manager_ns, MANAGER_IP, folder, cert, key,
                   locations="location / { try_files /offer.pkg =404; }")
    box.agent.configure(central="    config server-list\n        edit 1\n            set server-type update\n"
                                f"            set server-address {MANAGER_IP}\n        next\n    end\n")
    server = UpdateServer(box)
    server.offer(box.shop.signed("20.00004"))
    box.lab.connected(faketime=REAL_TIME)
    assert box.order("execute", "update-now").returncode == 0
    assert box.installed()["idsdb"][0] == "20.00003" and server.nginx.requests() == []
    mirror.process.destroy()
    assert box.order("execute", "update-now").returncode == 0
    assert box.installed()["idsdb"][0] == "20.00004" and len(server.nginx.requests()) == 1


def test_flood_of_notices_is_one_update(box):
    """Thousands of them within an interval fetch once."""
    from test_passive import notify
    server = UpdateServer(box)
    server.offer(box.shop.signed("20.00001"))
    box.lab.connected(faketime=FAST)
    notify(box.lab, "keepalive\r\nipsdb=20.00001\r\n\r\n\0", times=5000)
    poll(lambda: box.installed().get("idsdb"), real(600, slack=20), "the update")
    assert len(server.nginx.requests()) == 1


def test_managers_may_order_nothing(box):
    """All of these are an operator's."""
    manager, _agent = box.lab.connected()
    since = manager.mark()
    manager.install_and_wait("p1", f"execute restore ips tftp x.pkg {MANAGER_IP}\nexecute update-now\n"
                                   "diagnose autoupdate versions\n", "")
    assert [code for code, _ in manager.result_lines("p1", since)] == [-37, -37, -37]


# --- a cluster ---------------------------------------------------------------------------------------------------------


class Unit:
    """Another unit's files, without a daemon."""

    def __init__(self, box, name):
        self.folder = box.lab.folder / name
        self.folder.mkdir()
        self.level_file = self.folder / "security-level"
        self.bootstrap = self.folder / "fgfmd.conf"
        self.bootstrap.write_text(f"""config agent
    set package-ca "{box.shop.pki}/root.pem"
    set security-level-file "{self.level_file}"
    set state-directory "{self.folder}/state"
    set handler-directory "{box.handlers}"
end
""")

    def ctl(self, *words):
        return run(FGFMCTL, "-c", self.bootstrap, "package", *words, check=False)

    def current(self):
        return {p.parent.parent.name + p.parent.name: os.readlink(p)
                for p in (self.folder / "state" / "packages").glob("*/*/current")}


def test_copies_for_a_cluster(box):
    """Exported by one unit, verified again and installed by another; what is unsigned does not travel."""
    box.level("0")
    box.start()
    assert box.restore(box.shop.make("two", "idsdb=19.00264", "idsetdb=19.00264")).returncode == 0
    assert box.restore(box.shop.unsigned(name="appdb")).returncode == 0
    folder, unit = box.lab.folder / "copies", Unit(box, "secondary")
    done = run(FGFMCTL, "-c", box.agent.bootstrap_file, "package", "export", folder)
    assert "2 signed objects" in done.stdout
    assert sorted(p.name for p in folder.iterdir()) == ["idsdb.x", "idsetdb.x"]
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in folder.iterdir())
    done = unit.ctl("import", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert unit.current() == {"NIDS24": "19.00264", "NIDS26": "19.00264"}
    assert unit.ctl("import", folder).returncode == 0
    copy = folder / "idsdb.x"
    good = copy.read_bytes()
    for name, forged in {"flipped": good[:60] + bytes([good[60] ^ 1]) + good[61:], "stripped": good[:-16],
                         "another": (folder / "idsetdb.x").read_bytes(), "empty": b""}.items():
        copy.write_bytes(forged)
        done = unit.ctl("import", folder)
        assert done.returncode == 1 and "idsdb" in done.stderr, name
    copy.unlink()
    copy.symlink_to("/etc/passwd")
    assert unit.ctl("import", folder).returncode == 1
    assert unit.current() == {"NIDS24": "19.00264", "NIDS26": "19.00264"}


def test_a_daemon_notices_an_import(box):
    """What fgfmctl imports beside it is told to the manager without a restart."""
    manager, agent = box.lab.connected(faketime=FAST)
    unit = Unit(box, "primary")
    folder = box.lab.folder / "copies"
    folder.mkdir()
    data = box.shop.signed("19.00265").read_bytes()
    (folder / "idsdb.x").write_bytes(data[64 + 128:])
    assert unit.ctl("import", folder).returncode == 0
    done = run(FGFMCTL, "-c", agent.bootstrap_file, "package", "import", folder, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    poll(lambda: box.installed() == {"idsdb": ("19.00265", True)}, 5, "the daemon to notice")
    keepalive_version(manager, "ipsdb", "19.00265")


def test_another_list_of_denied_keys(box):
    """What these keys have signed counts as bad from then on. A damaged list keeps updates out, but not its own check."""
    box.level("0")
    box.start(faketime=FAST)
    assert box.restore(box.shop.broken("signer-denied")).returncode == 0
    folder = box.lab.folder / "copies"
    folder.mkdir()
    (folder / "denylist.x").write_bytes(box.shop.signed("1.00001", "denylist").read_bytes()[64 + 128:])
    done = run(FGFMCTL, "-c", box.agent.bootstrap_file, "package", "import", folder)
    assert "installed: denylist(1.00001)" in done.stdout

    def health():
        return {o["name"]: o["health"] for o in box.agent.ask_json("diagnose", "autoupdate", "versions")["objects"]}

    poll(lambda: health() == {"idsdb": "bad", "denylist": "good"}, real(60, slack=10), "the check")
    (box.store / "DENY/1/1.00001/payload").write_text("no key")
    assert box.restore(box.shop.signed("20.00001")).returncode == 1
    done = box.order("diagnose", "autoupdate", "signature", "check-all")
    assert done.returncode == 0 and "denylist(250,1) signature is invalid." in done.stdout, done.stdout + done.stderr
    assert box.restore(box.shop.signed("20.00001")).returncode == 0
    assert box.installed() == {"idsdb": ("20.00001", True)}


@pytest.mark.parametrize("words", [("export",), ("import",), ("import", "a", "b"), ("export", "a", "--colour")],
                         ids=" ".join)
def test_bad_usage_of_copies(box, words):
    assert Unit(box, "unit").ctl(*words).returncode == 2


def test_nothing_to_import(box):
    unit = Unit(box, "unit")
    done = unit.ctl("import", box.lab.folder)
    assert done.returncode == 1 and "fgfmctl: " in done.stderr
    assert unit.ctl("import", "/nonexistent").returncode == 1


# --- what stays --------------------------------------------------------------------------------------------------------


def test_what_is_installed_survives_a_restart(box):
    box.start()
    assert box.restore(box.shop.signed()).returncode == 0
    before = box.snapshot()
    box.agent.kill()
    box.start()
    poll(lambda: box.installed() == {"idsdb": ("19.00264", True)}, 5, "what was installed")
    assert box.snapshot() == before


def test_monitoring_shows_versions(box):
    """The JSON of licences and the metrics."""
    from test_monitor import results
    manager, agent = box.lab.connected()
    assert box.restore(box.shop.signed()).returncode == 0
    said = results(box.lab, "/api/v2/monitor/license/status")
    assert said["ips"]["db_version"] == "19.00264" and said["objects"][0]["name"] == "idsdb"
