"""Fetching alone: curl in its confinement against tftpd-hpa, nginx, and servers that break the rules."""

import contextlib
import dataclasses
import os
import pathlib

import pytest

from harness import Lab, MANAGER_IP, MANAGER_IP6, MANAGER_SERIAL, ROOT
from netns import Process, descendants, poll, run, unique
from rogue import GOOD
from servers import Nginx, Rogue, Tftp, key_digest, name_server

FETCH = os.environ.get("FETCH", str(ROOT / "build" / "test" / "fetch"))
PACKAGE = os.urandom(3 * 1024 * 1024 + 17)
PORT = 8890
CURRENT = "90.00001"

# "/fdsupdate" is what managers are asked; who has the current version of virdb is told that nothing is newer
LOCATIONS = f"""
        location = /fdsupdate {{
            if ($arg_avdb = "{CURRENT}") {{ return 204; }}
            rewrite ^ /nids.pkg last;
        }}
        location = /to-plain-http {{ return 302 http://$host/nids.pkg; }}
        location = /to-https {{ return 301 https://$host:$server_port/nids.pkg; }}
        location = /moved-with-body {{ return 307 https://$host:$server_port/nids.pkg; }}
        location = /error {{ return 503; }}
"""


@dataclasses.dataclass
class Fetched:
    """What one fetch came to."""
    code: str
    why: str
    content: bytes
    progress: list
    log: str


class Device:
    """Fetches from inside the device's namespace."""

    def __init__(self, lab):
        assert os.path.exists(FETCH), f"{FETCH} does not exist: run make build/test/fetch first"
        self.namespace = lab.device_ns
        self.staging = lab.folder / "staging"
        self.staging.mkdir(mode=0o700)
        self.saved = lab.folder / "fetched"

    def command(self, **words):
        words = {"user": "nobody", "staging": self.staging, "save": self.saved, **words}
        return [FETCH, *(f"{key.replace('_', '-')}={value}" for key, value in words.items())]

    def start(self, servers, **words):
        """A fetch that goes on while the test does something else."""
        process = Process([*self.namespace.enter(), *self.command(**words)], servers.folder / "fetch.out")
        servers.stack.callback(process.destroy)
        return process

    def fetch(self, **words):
        self.saved.unlink(missing_ok=True)
        done = self.namespace.run(*self.command(**words), check=False)
        rows = [line.split(" ", 2) for line in done.stdout.splitlines()]
        assert rows and rows[-1][0] == "done" and done.returncode == (rows[-1][1] != "none"), done
        assert list(self.staging.iterdir()) == []
        return Fetched(rows[-1][1], rows[-1][2], self.saved.read_bytes() if self.saved.exists() else None,
                       [(int(row[1]), int(row[2])) for row in rows if row[0] == "progress"], done.stderr)

    def tftp(self, file, server=MANAGER_IP, **words):
        return self.fetch(kind="tftp", server=server, file=file, **words)

    def url(self, path, address=MANAGER_IP, **words):
        host = f"[{address}]" if ":" in address else address
        return self.fetch(kind="url", url=f"https://{host}:{PORT}{path}", **words)

    def manager(self, **words):
        return self.fetch(kind="manager", server=MANAGER_IP, port=PORT, **words)


@pytest.fixture(scope="module")
def lab(pki):
    """The hosts are the same for all: nothing of a fetch stays there."""
    with Lab(pki) as made:
        yield made


@pytest.fixture(scope="module")
def device(lab):
    return Device(lab)


class Servers:
    """Those of one test, at the manager's address unless told otherwise; `files` is what the honest ones serve."""

    def __init__(self, lab, folder):
        self.namespace = lab.manager_ns
        self.folder = folder
        self.stack = contextlib.ExitStack()
        self.files = folder / "files"
        self.files.mkdir()
        self.put("nids.pkg", PACKAGE)

    def put(self, name, content):
        path = self.files / name
        path.write_bytes(content)
        path.chmod(0o644)  # tftpd gives away what everybody may read
        return path

    def tftp(self, address=MANAGER_IP):
        return Tftp(self, self.namespace, address, self.files)

    def web(self, certificate, address=MANAGER_IP):
        """nginx; `certificate` is a path without its suffix."""
        return Nginx(self, self.namespace, address, self.files, f"{certificate}.pem", f"{certificate}.key", PORT,
                     LOCATIONS)

    def rogue_tftp(self):
        return Rogue(self, self.namespace, "tftp", MANAGER_IP, 69)

    def rogue_web(self, certificate):
        return Rogue(self, self.namespace, "web", MANAGER_IP, PORT, certificate)


@pytest.fixture
def servers(lab, tmp_path):
    made = Servers(lab, tmp_path)
    with made.stack:
        yield made


@pytest.fixture(scope="module")
def web_pki(tmp_path_factory):
    """A web server's certificate with addresses and a name, and its authority."""
    folder = tmp_path_factory.mktemp("web")
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    run(*new, "-subj", "/CN=Web CA", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    names = f"subjectAltName=IP:{MANAGER_IP},IP:{MANAGER_IP6},DNS:updates.example"
    run(*new, "-subj", "/CN=web", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-addext", names,
        "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", folder / "web.key", "-out", folder / "web.pem")
    run("openssl", "x509", "-in", folder / "ca.pem", "-outform", "DER", "-out", folder / "ca.der")
    folder.chmod(0o700)  # curl's user cannot look into it
    return folder


# --- TFTP


@pytest.mark.parametrize("address", [MANAGER_IP, MANAGER_IP6], ids=["v4", "v6"])
def test_tftp(device, servers, address):
    """tftpd-hpa; the bytes are the file's, and nothing has a name in the staging folder."""
    servers.tftp(address)
    got = device.tftp("nids.pkg", server=address)
    assert (got.code, got.content) == ("none", PACKAGE)
    assert got.progress[-1] == (len(PACKAGE), 0)


def test_tftp_name_is_only_a_name(device, servers):
    """Whatever the characters: they are the file's name, not a pattern, an option or an encoding."""
    name = "a b&c;d$(e)%41[1-2]{x,y}#f?g=h\"'\\@.pkg"
    servers.put(name, b"odd")
    servers.tftp()
    assert device.tftp(name).content == b"odd"


@pytest.mark.parametrize("file, code, why", [
    ("none.pkg", "ENOENT", "the server has no such file"), ("../../../etc/passwd", "ENOENT", "no such file"),
    ("secret.pkg", "EIO", "the server refuses"), ("-o", "EINVAL", "a file name of 1 to 200 characters"),
    ("/etc/passwd", "EINVAL", "a file name"), ("x" * 201, "EINVAL", "a file name"),
    ("a\nb", "EINVAL", "printable ASCII"), ("", "EINVAL", "a file name")])
def test_tftp_refused(device, servers, file, code, why):
    servers.put("secret.pkg", b"secret").chmod(0o600)
    servers.tftp()
    got = device.tftp(file)
    assert (got.code, got.content) == (code, None) and why in got.why


def test_tftp_too_large(device, servers):
    servers.tftp()
    got = device.tftp("nids.pkg", max=len(PACKAGE) - 1)
    assert (got.code, got.content) == ("EFBIG", None)
    assert device.tftp("nids.pkg", max=len(PACKAGE)).content == PACKAGE


def test_tftp_nobody_there(device, servers):
    """The network says so at once."""
    got = device.tftp("nids.pkg")
    assert got.code == "ECONNREFUSED" and "cannot be reached" in got.why


def test_tftp_foreign_transfer_id(device, servers):
    """Data from another port of the server's, before each block of the server's own: not a byte of it is taken."""
    servers.rogue_tftp()
    got = device.tftp("foreign")
    assert (got.code, got.content) == ("none", GOOD)
    assert f"a datagram of {MANAGER_IP} port" in got.log and "is not the TFTP server's: ignored" in got.log


def test_tftp_other_address_first(device, servers, lab):
    """Somebody else's answer, before the server's first one."""
    lab.manager_ns.ip("address", "add", "192.168.48.47/24", "dev", "eth0")
    servers.rogue_tftp()
    got = device.tftp("before")
    assert (got.code, got.content) == ("none", GOOD) and "a datagram of 192.168.48.47 port" in got.log


@pytest.mark.parametrize("file, words, code, why", [
    ("endless", {"max": 100000}, "EFBIG", "100000 bytes"), ("silent", {"stall": 1500}, "ETIMEDOUT", "nothing came of it"),
    ("stalls", {"stall": 1500}, "ETIMEDOUT", "nothing came of it"), ("error", {}, "ENOENT", "the server has no such file"),
    ("endless", {"timeout": 2000, "max": 1 << 30}, "ETIMEDOUT", "did not end within 2 s")])
def test_tftp_rogues(device, servers, file, words, code, why):
    servers.rogue_tftp()
    got = device.tftp(file, **words)
    assert (got.code, got.content) == (code, None) and why in got.why
    assert "\x1b" not in got.why + got.log


# --- HTTPS by URL


@pytest.mark.parametrize("address", [MANAGER_IP, MANAGER_IP6], ids=["v4", "v6"])
@pytest.mark.parametrize("ca", ["ca.pem", "ca.der"])
def test_url(device, servers, web_pki, address, ca):
    """nginx, known by the authority given; how much is to come is known."""
    servers.web(web_pki / "web", address)
    got = device.url("/nids.pkg", address, ca=web_pki / ca)
    assert (got.code, got.content) == ("none", PACKAGE)
    assert got.progress[-1] == (len(PACKAGE), len(PACKAGE))


def test_url_by_name(device, servers, web_pki):
    """The name is looked up by the agent, and is that of the certificate."""
    servers.web(web_pki / "web")
    resolv = name_server(servers, servers.namespace, MANAGER_IP, f"updates.example={MANAGER_IP}", f"other.example={MANAGER_IP}")
    words = {"ca": web_pki / "ca.pem", "resolv_conf": resolv}
    assert device.url("/nids.pkg", "updates.example", **words).content == PACKAGE
    assert device.url("/nids.pkg", "other.example", **words).code == "EACCES"
    assert device.url("/nids.pkg", "nowhere.example", **words).code == "ENOENT"


@pytest.mark.parametrize("path, code, why", [
    ("/to-plain-http", "EPERM", "302, a redirect"), ("/to-https", "EPERM", "301, a redirect"),
    ("/moved-with-body", "EPERM", "307, a redirect"), ("/none.pkg", "ENOENT", "the server answers 404"),
    ("/error", "EIO", "the server answers 503")])
def test_url_answers(device, servers, web_pki, path, code, why):
    """A redirect is never followed, and no page of words is taken for a package."""
    web = servers.web(web_pki / "web")
    got = device.url(path, ca=web_pki / "ca.pem")
    assert (got.code, got.content) == (code, None) and why in got.why
    assert len(web.requests()) == 1


def test_url_too_large(device, servers, web_pki):
    """Refused by what the server says, before the bytes come."""
    servers.web(web_pki / "web")
    got = device.url("/nids.pkg", ca=web_pki / "ca.pem", max=len(PACKAGE) - 1)
    assert (got.code, got.content, got.progress) == ("EFBIG", None, [])
    assert device.url("/nids.pkg", ca=web_pki / "ca.pem", max=len(PACKAGE)).content == PACKAGE


def test_url_disk_full(device, servers, web_pki, tmp_path):
    """The file system has no room: it is said, and nothing stays."""
    servers.web(web_pki / "web")
    small = tmp_path / "small"
    small.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1m,mode=700", unique("fgfmt"), small)
    try:
        got = device.url("/nids.pkg", ca=web_pki / "ca.pem", staging=small)
        poll(lambda: os.statvfs(small).f_bfree == os.statvfs(small).f_blocks, 5, "the room to be free")
    finally:
        run("umount", "--lazy", small)
    assert (got.code, got.content) == ("ENOSPC", None) and "writing what was fetched: No space left" in got.why


def test_url_unknown_authority(device, servers, web_pki, pki):
    """Another authority, the host's own list of them, or none."""
    web = servers.web(web_pki / "web")
    got = device.url("/nids.pkg", ca=pki / "ca.pem")
    assert (got.code, got.content) == ("EACCES", None) and "certificate" in got.why
    assert device.url("/nids.pkg", ca="/nowhere/ca.pem").code == "ENOENT"
    assert device.url("/nids.pkg").code == "EINVAL"
    assert web.requests() == []


def test_url_system_authorities_do_not_count(device, servers, web_pki, pki, lab):
    """Only the file given: not the folder of authorities that curl was built with, with no Landlock to keep it away."""
    servers.web(web_pki / "web")
    ca = web_pki / "ca.pem"
    name = run("openssl", "x509", "-in", ca, "-noout", "-hash").stdout.strip()
    script = ('mount -t tmpfs -o mode=755 x /etc/ssl/certs && cd /etc/ssl/certs && cp "$0" $1.0 && '
              'cp "$2" ca-certificates.crt && chmod 644 * && shift 2 && exec "$@"')
    inside = ["unshare", "--mount", "sh", "-c", script, ca, name, pki / "ca.pem"]
    plain = ["curl", "-sS", "--max-time", "10", "--output", "/dev/null", f"https://{MANAGER_IP}:{PORT}/nids.pkg"]
    assert lab.device_ns.run(*inside, *plain, check=False).returncode == 0  # it would count
    words = ["kind=url", f"url={plain[-1]}", f"ca={pki}/ca.pem", f"save={device.saved}", f"staging={device.staging}"]
    done = lab.device_ns.run(*inside, FETCH, *words, check=False)
    assert "done EACCES" in done.stdout


@pytest.mark.parametrize("url, why", [
    ("http://192.168.48.46/x", "https://HOST"), ("HTTPS://192.168.48.46/x", "https://HOST"), ("", "https://HOST"),
    ("file:///etc/passwd", "https://HOST"), ("https:///x", "an address or a host name"),
    ("https://user:word@192.168.48.46/x", "is not for it"), ("https://192.168.48.46/x#y", "is not for it"),
    ("https://192.168.48.46/a b", "is not for it"), ("https://192.168.48.46:0/x", "a port of 1 to 65535"),
    ("https://192.168.48.46:65536/x", "a port of 1 to 65535"), ("https://[::1/x", "[ADDRESS] was expected"),
    ("https://[192.168.48.46]/x", "an IPv6 address in brackets"), ("https://fd48::46/x", "URL"),
    ("https://127.1/x", "an address or a host name"), ("https://-x/y", "an address or a host name"),
    ("https://a..b/y", "an address or a host name"), ("https://a/" + "x" * 1024, "of up to 1024 characters")])
def test_url_malformed(device, url, why):
    """Nothing is started."""
    got = device.fetch(kind="url", url=url, ca="/dev/null")
    assert got.code == "EINVAL" and why in got.why


@pytest.mark.parametrize("path, words, code, why", [
    ("/endless", {"max": 1 << 20}, "EFBIG", "more than 1048576 bytes"),
    ("/endless", {"timeout": 2000, "max": (1 << 32) - 1}, "ETIMEDOUT", "did not end within 2 s"),
    ("/stalls", {"stall": 1500}, "ETIMEDOUT", "nothing came of it for 2 s"),
    ("/silent", {"stall": 1500}, "ETIMEDOUT", "nothing came of it for 2 s"),
    ("/short", {}, "EIO", "with 1 bytes"), ("/long-head", {}, "E", ""), ("/junk", {}, "EIO", ""),
    ("/two-lengths", {}, "E", ""), ("/lies", {}, "EFBIG", "")])
def test_url_rogues(device, servers, web_pki, path, words, code, why):
    servers.rogue_web(web_pki / "web")
    got = device.url(path, ca=web_pki / "ca.pem", **words)
    assert got.code.startswith(code) and got.content is None and why in got.why and got.why


def test_url_slow_is_not_stalled(device, servers, web_pki):
    """As long as something comes."""
    servers.rogue_web(web_pki / "web")
    assert device.url("/late", ca=web_pki / "ca.pem", stall=2500).content == GOOD


# --- managers


def test_manager_by_its_key(device, servers, pki):
    """The trusted list's key is enough: without an authority, and whatever the certificate says."""
    servers.web(pki / "manager-expired")
    got = device.manager(pin=key_digest(pki / "manager-expired.pem"))
    assert (got.code, got.content) == ("none", PACKAGE)


def test_manager_by_authority_and_serial(device, servers, pki):
    """Another key, but the serial number that is trusted, from the authority that is configured."""
    servers.web(pki / "manager-renewed")
    got = device.manager(pin=key_digest(pki / "manager.pem"), ca=pki / "ca.pem", serial=MANAGER_SERIAL)
    assert (got.code, got.content) == ("none", PACKAGE) and "shows another key" in got.log
    assert device.manager(ca=pki / "ca.pem", serial=MANAGER_SERIAL).content == PACKAGE


@pytest.mark.parametrize("certificate", ["manager-02", "manager-wrongca", "manager-samename", "manager-expired",
                                         "manager-clientonly"])
def test_manager_neither(device, servers, pki, certificate):
    """Not the key, and not the serial number or not the authority: not a byte is asked for."""
    web = servers.web(pki / certificate)
    words = {"pin": key_digest(pki / "manager.pem")}
    for more in ({}, {"ca": pki / "ca.pem", "serial": MANAGER_SERIAL}, {"ca": "/nowhere", "serial": MANAGER_SERIAL}):
        got = device.manager(**words, **more)
        assert (got.code, got.content) == ("EACCES", None)
    assert web.requests() == []


def test_manager_is_told_what_is_here(device, servers, pki):
    """204: nothing newer, which is no failure; and no more of this device is said than the query has."""
    web = servers.web(pki / "manager")
    words = {"pin": key_digest(pki / "manager.pem"), "has.serial": "FGVM010000000001", "has.ips": "19.00264"}
    assert device.manager(**words, **{"has.av": "90.00000"}).content == PACKAGE
    got = device.manager(**words, **{"has.av": CURRENT})
    assert (got.code, got.why, got.content) == ("none", "nothing newer", None)
    asked = [line.split('"')[1:3] for line in web.requests()]
    for (request, answer), version, status in zip(asked, ("90.00000", CURRENT), ("200", "204")):
        assert request == f"GET /fdsupdate?serial=FGVM010000000001&avdb={version}&ipsdb=19.00264 HTTP/1.1"
        assert answer.split()[0] == status
    assert len(asked) == 2
    assert device.manager(**words, **{"has.av": "1&x=y"}).code == "EINVAL"


def test_manager_not_there(device, pki):
    got = device.manager(pin=key_digest(pki / "manager.pem"))
    assert got.code == "EIO" and "connect" in got.why.lower()


# --- the child


def test_curl_is_confined(device, servers, web_pki):
    """Another user, no capability, no environment, three descriptors, and no group of ours; gone with the fetch."""
    servers.rogue_web(web_pki / "web")
    process = device.start(servers, kind="url", url=f"https://{MANAGER_IP}:{PORT}/stalls", ca=web_pki / "ca.pem")
    pid = process.find("/usr/bin/curl")
    poll(lambda: "progress" in process.text(), 10, "the first bytes")
    proc = pathlib.Path(f"/proc/{pid}")
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
    assert status["Uid"].split() == ["65534"] * 4 and status["Groups"].strip() == ""
    assert set(status["CapEff"]) == {"0"} and status["NoNewPrivs"] == "1"
    assert (proc / "environ").read_bytes() == b"PATH=/usr/sbin:/usr/bin:/sbin:/bin\0LC_ALL=C\0"
    limits = {line[:25].strip(): line[26:].split()[0] for line in (proc / "limits").read_text().splitlines()[1:]}
    assert (limits["Max file size"], limits["Max processes"], limits["Max core file size"]) == ("0", "1", "0")
    files = {os.readlink(fd) for fd in (proc / "fd").iterdir()}
    assert all(name.startswith(("pipe:", "socket:", "/memfd:authorities", "anon_inode:")) for name in files), files
    process.destroy()
    poll(lambda: not proc.exists(), 5, "curl to be gone")


def check_cancelled(device, servers, **words):
    """Nothing is heard of it any more, no process, socket or file is left, and the loop goes on."""
    process = device.start(servers, cancel=1000, **words)
    poll(lambda: "cancelled" in process.text(), 10, "the end of it")
    fetch = process.find(FETCH)
    assert descendants(fetch) == [] and process.alive()
    left = {os.readlink(fd) for fd in pathlib.Path(f"/proc/{fetch}/fd").iterdir()}
    assert not any("socket:" in name or "pipe:" in name or "(deleted)" in name for name in left), left
    assert "done" not in process.text()


@pytest.mark.parametrize("words", [
    {"kind": "tftp", "server": MANAGER_IP, "file": "stalls"},
    {"kind": "url", "url": f"https://{MANAGER_IP}:{PORT}/stalls"}], ids=["tftp", "https"])
def test_cancelled(device, servers, web_pki, words):
    servers.rogue_tftp()
    servers.rogue_web(web_pki / "web")
    check_cancelled(device, servers, ca=web_pki / "ca.pem", **words)


def test_cancelled_while_looking_up(device, servers, web_pki, lab):
    """The name server's answers are lost on the way."""
    resolv = name_server(servers, servers.namespace, MANAGER_IP)
    lab.swallow(True)
    servers.stack.callback(lab.swallow, False)
    check_cancelled(device, servers, kind="url", url="https://updates.example/", resolv_conf=resolv,
                    ca=web_pki / "ca.pem")
