"""`fgfmctl package …`: no daemon, no namespace; what it says, what it answers with, and how much memory it takes."""

import json
import os
import pathlib
import subprocess

import pytest

from harness import FGFMCTL, ROOT
from netns import run

MKPKG = ROOT / "test" / "mkpkg"
CASES = [line.split("\t") for line in (ROOT / "test/golden/package/cases.tsv").read_text().splitlines()]
WAYS, LEVELS = ["automatic", "manual", "ha"], ["0", "1", "2", "Low", "High"]


class Box:
    """Packages, the test CA, and a bootstrap file that names it."""

    def __init__(self, folder):
        self.folder = folder
        self.pki, self.level = folder / "pki", folder / "security-level"
        run(MKPKG, "--pki", self.pki, "--all", folder / "all")
        self.bootstrap = folder / "fgfmd.conf"
        self.bootstrap.write_text(f"""config agent
    set package-ca "{self.pki}/root.pem"
    set security-level-file "{self.level}"
    set state-directory "{folder}"
end
""")

    def make(self, name, *words):
        path = self.folder / name
        run(MKPKG, "--pki", self.pki, "-o", path, *words)
        return path

    def ctl(self, *words):
        return run(FGFMCTL, "-c", self.bootstrap, *words, check=False)

    def verify(self, path, *words):
        """Exit status and JSON."""
        done = self.ctl("--json", "package", "verify", path, "--deny-list", self.pki / "denylist", *words)
        return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    return Box(tmp_path_factory.mktemp("package"))


@pytest.mark.parametrize("name, check, words", CASES, ids=[c[0] for c in CASES])
def test_hostile_packages_are_refused_with_the_reason(box, name, check, words):
    """At every level, by every way, whatever it is."""
    code, said = box.verify(box.folder / "all" / f"{name}.pkg")
    assert code == 1 and not said["accepted"]
    if check == "container":
        assert words in said["damage"] and said["objects"] == []
        return
    bad = [o for o in said["objects"] if o["signature"] == "bad"]
    assert len(bad) == 1 and bad[0]["failed"] == check and words in bad[0]["reason"]
    assert all(bad[0]["verdicts"][w][level] == "reject" for w in WAYS for level in LEVELS)


def test_the_list_of_cases_is_complete():
    names = run(MKPKG, "--list").stdout.split()
    assert names == [c[0] for c in CASES] and len(names) >= 45


def test_arithmetic_of_the_guide(box):
    """1200241 raw bytes and a signature of 3215: the figures of the guide's debug lines."""
    path = box.make("guide.pkg", "--raw-len", "1200241", "--cms-len", "3215", "idsetdb=19.00264")
    done = box.ctl("package", "verify", path, "--explain")
    assert done.returncode == 0
    assert "idsetdb(4,26) signature is valid." in done.stdout
    assert "data_len=1203472, obj_len=1200241, sig_len=3231" in done.stdout
    assert path.read_bytes()[-16:-8].hex() == "544e544601000c8f"


def test_verdicts_of_signed_and_unsigned(box):
    """Each way and level, for what is signed, what is not, and what need not be."""
    code, said = box.verify(box.folder / "all" / "good-mixed.pkg")
    signed, optional, unsigned = said["objects"]
    assert (signed["signature"], optional["signature"], unsigned["signature"]) == ("valid", "none", "none")
    assert all(signed["verdicts"][w][level] == "accept" for w in WAYS for level in LEVELS)
    by_hand = dict(zip(LEVELS, ["accept-with-warning", "ask", "reject", "ask", "reject"]))
    by_ha = dict(zip(LEVELS, ["accept-with-warning", "reject", "reject", "reject", "reject"]))
    for o in (optional, unsigned):
        assert o["verdicts"]["manual"] == by_hand and o["verdicts"]["ha"] == by_ha
    assert set(optional["verdicts"]["automatic"].values()) == {"accept"}
    assert set(unsigned["verdicts"]["automatic"].values()) == {"reject"}
    assert code == 1 and not said["accepted"]


@pytest.mark.parametrize("name, code, words", [
    ("good-two-objects", 0, "idsdb(4,24) signature is valid.\nidsetdb(4,26) signature is valid.\n"),
    ("good-unsigned", 1, "idsdb(4,24) signature is missing.\n"),
    ("good-unsigned-optional", 0, "fcni(9,0) signature check passed.\n"),
    ("flipped-payload", 1, "idsdb(4,24) signature is invalid.\n  SHA-256 of the content: "),
    ("flipped-checksum", 1, "NIDS idsdb object is invalid.\n  CRC-32 of the data: "),
    ("no-objects", 1, "package is damaged: every update rejects it.\n  package header: 1 to 64 objects expected"),
])
def test_words_and_exit_status(box, name, code, words):
    """One line an object, in the guide's words."""
    done = box.ctl("package", "verify", box.folder / "all" / f"{name}.pkg")
    assert done.returncode == code and done.stdout.startswith(words)


def test_explanation_names_the_step(box):
    """What passed, what failed and why, what was not looked at any more."""
    done = box.ctl("package", "verify", box.folder / "all" / "signer-tls.pkg", "--explain")
    lines = dict(line.strip().split(None, 1) for line in done.stdout.splitlines() if line.startswith("  "))
    assert lines["digest"] == "passed" and lines["signature"] == lines["payload"] == "not made"
    assert lines["signer"].startswith("FAILED: certificate O=Test, CN=Web Server: extendedKeyUsage with codeSigning")
    assert set(lines["manual"].split()) == {"reject"}


@pytest.mark.parametrize("text, mode, level, source", [
    (None, None, "1", "no level is set"), ("0", 0o644, "0", "security-level"), ("2\n", 0o600, "2", "security-level"),
    ("low", 0o644, "2", "0, 1 or 2 expected"), ("0", 0o666, "2", "only root can write")],
    ids=["unset", "0", "2", "malformed", "writable"])
def test_level_of_the_machine(box, text, mode, level, source):
    box.level.unlink(missing_ok=True)
    if text is not None:
        box.level.write_text(text)
        box.level.chmod(mode)
    _, said = box.verify(box.folder / "all" / "good-rsa.pkg")
    box.level.unlink(missing_ok=True)
    assert said["level"] == level and source in said["level-source"]


def test_time_does_not_run_backwards(box):
    """With the clock at 1970 it is judged at the build's time, or at that of the last good session."""
    good = box.folder / "all" / "good-rsa.pkg"
    command = ["faketime", "1970-01-02 00:00:00", FGFMCTL, "-j", "-c", box.bootstrap, "package", "verify", good]
    early = json.loads(run(*command).stdout)
    assert early["accepted"] and early["judged-at"] > 1577836800
    memory = box.folder / "manager.json"
    memory.write_text(json.dumps({"mgmtid": "", "first-fmgid": "", "target": "", "address": "",
                                  "last-good": 4733510400}))
    late = run(*command, check=False)
    memory.unlink()
    assert late.returncode == 1 and json.loads(late.stdout)["judged-at"] == 4733510400
    assert "expired on 2119" in late.stdout


def test_list(box):
    """What is in it, also where the authorities are unknown."""
    path = box.make("list.pkg", "--unsigned", "fcni", "idsdb=19.00261", "fcni=1.00002")
    said = json.loads(run(FGFMCTL, "package", "list", path, "--json").stdout)
    assert [(o["name"], o["type"], o["id"], o["sub"], o["version"]) for o in said["objects"]] == [
        ("idsdb", "NIDS", 4, 24, "19.00261"), ("fcni", "FCNI", 9, 0, "1.00002")]
    assert said["objects"][0]["sig-len"] > 1000 and said["objects"][1]["sig-len"] == 0
    text = run(FGFMCTL, "package", "list", path).stdout
    assert "not verified" in text and "idsdb(4,24)" in text and "Attack Definitions" in text
    assert box.ctl("package", "list", box.folder / "all" / "no-objects.pkg").returncode == 1
    assert box.ctl("package", "list", box.folder / "all" / "type-path.pkg").returncode == 1


def test_names_do_not_drive_the_terminal(box):
    done = box.ctl("package", "verify", box.folder / "all" / "package-version.pkg")
    assert "\x1b" not in done.stdout + done.stderr and "\\x1b" in done.stdout


@pytest.mark.parametrize("words", [
    [], ["check"], ["verify"], ["list"], ["verify", "a", "b"], ["list", "a", "--explain"], ["verify", "a", "--colour"],
    ["verify", "a", "--ca"]], ids=" ".join)
def test_bad_usage(box, words):
    done = box.ctl("package", *words)
    assert done.returncode == 2 and "usage: fgfmctl package verify FILE" in done.stderr


@pytest.mark.parametrize("words, reason", [
    (["verify", "/nonexistent.pkg"], "/nonexistent.pkg"), (["verify", "{good}", "--ca", "/nonexistent"], "/nonexistent"),
    (["verify", "{good}", "--ca", "{folder}/pki/inter.der"], "a root expected"),
    (["verify", "{good}", "--deny-list", "{folder}/pki/root.pem"], "64 hex digits expected"),
    (["list", "/dev/null"], "a regular file expected"), (["list", "/nonexistent.pkg"], "/nonexistent.pkg")])
def test_what_cannot_be_read_is_named(box, words, reason):
    fill = {"good": box.folder / "all" / "good-rsa.pkg", "folder": box.folder}
    done = box.ctl("package", *(w.format(**fill) for w in words))
    assert done.returncode == 1 and reason in done.stderr


@pytest.mark.parametrize("words", [[], ["--zlib"]], ids=["plain", "packed"])
def test_a_large_object_takes_no_memory(box, words):
    """50 MB are verified and unpacked with less than 4 MB for everything the program writes to."""
    if "san" in pathlib.Path(FGFMCTL).parent.name:
        pytest.skip("a sanitizer needs more than that for itself")
    large = box.make("large.pkg", "--raw-len", "50000000", "idsdb", *words)
    limited = ["prlimit", f"--data={4 << 20}", FGFMCTL, "-c", box.bootstrap, "-j", "package", "verify", large]
    said = json.loads(run(*limited).stdout)
    large.unlink()
    assert said["accepted"] and said["objects"][0]["unpacked-len"] == 50_000_000 - 33


def test_openssl_agrees(box):
    """The good signatures are good for another program as well; what that says is the test's oracle, not ours."""
    for name in ("rsa", "ecdsa", "p384-sha384", "direct"):
        data = (box.folder / "all" / f"good-{name}.pkg").read_bytes()[192:]
        size = int.from_bytes(data[-10:-8], "big")
        (box.folder / "raw").write_bytes(data[:-16 - size])
        (box.folder / "cms").write_bytes(data[-16 - size:-16])
        done = subprocess.run(
            ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", box.folder / "cms", "-content",
             box.folder / "raw", "-CAfile", box.pki / "root.pem", "-purpose", "any", "-out", os.devnull], check=False,
            capture_output=True)
        assert done.returncode == 0, f"{name}: {done.stderr.decode()}"
