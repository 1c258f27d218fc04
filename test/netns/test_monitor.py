"""Monitoring through the tunnel: what it answers, whom it answers, and what a bad client can do to others."""

import contextlib
import json
import re
import subprocess

import pytest

import expect
from harness import BRISK, DEVICE_CONFIG, DEVICE_IP, DEVICE_SERIAL, FAST, MANAGER_SERIAL, REAL_TIME, TUNNEL_IP, real
from netns import PYTHON, memory, poll

# A client in the manager's namespace; the request goes out as it is, and everything that comes back is printed.
RAW = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
got = b""
try:
    s.sendall(bytes.fromhex(sys.argv[3]))
    while True:
        more = s.recv(65536)
        if not more:
            break
        got += more
except ConnectionError:
    pass
print(got.hex())
"""

# Opens connections, sends the beginning of a request on each, says so, and stays until its input ends.
HOLD = """
import socket, sys
held = []
for _ in range(int(sys.argv[3])):
    s = socket.socket()
    s.settimeout(2)
    try:
        s.connect((sys.argv[1], int(sys.argv[2])))
        s.sendall(bytes.fromhex(sys.argv[4]))
    except OSError:
        pass
    held.append(s)
print("held", flush=True)
for line in sys.stdin:
    for s in held:
        try:
            s.sendall(b"x")
        except OSError:
            pass
"""

# Which of these TCP ports of the tunnel address take a connection.
SCAN = """
import socket, sys
for port in map(int, sys.argv[2:]):
    with socket.socket() as s:
        s.settimeout(2)
        if s.connect_ex((sys.argv[1], port)) == 0:
            print(port)
"""


class Answer:
    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if len(lines[0].split()) > 1 else 0
        self.headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}

    @property
    def json(self):
        return json.loads(self.body)


def raw(lab, request, address=TUNNEL_IP, port=80):
    return Answer(bytes.fromhex(lab.manager_ns.run(PYTHON, "-c", RAW, address, port, request.hex()).stdout))


def get(lab, path, method="GET", headers=()):
    more = "".join(f"{line}\r\n" for line in headers)
    return raw(lab, f"{method} {path} HTTP/1.1\r\nHost: device\r\n{more}\r\n".encode())


def results(lab, path):
    """Results of a path that has to succeed, with its envelope checked."""
    answer = get(lab, path)
    assert answer.status == 200 and answer.headers["content-type"] == "application/json", answer.body
    document = answer.json
    assert document["status"] == "success" and document["serial"] == DEVICE_SERIAL
    assert document["version"].startswith("v") and isinstance(document["build"], int)
    return document["results"]


def answers(lab):
    with contextlib.suppress(AssertionError):
        return get(lab, "/api/v2/monitor/system/status").status == 200
    return False


def monitored(lab, **options):
    manager, agent = lab.connected(**options)
    poll(lambda: answers(lab), 10, "monitoring to answer")
    return manager, agent


@contextlib.contextmanager
def holding(lab, count, beginning):
    """Clients that hold connections open with the beginning of a request."""
    words = [*lab.manager_ns.enter(), PYTHON, "-c", HOLD, TUNNEL_IP, "80", str(count), beginning.hex()]
    with subprocess.Popen([str(w) for w in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        try:
            assert client.stdout.readline() == "held\n"
            yield client
        finally:
            client.kill()


def test_every_path_with_real_data(lab):
    """Each documented path answers with what the system, the session and the configuration say."""
    manager, agent = monitored(lab)
    status = results(lab, "/api/v2/monitor/system/status")
    assert status["hostname"] == DEVICE_SERIAL and status["install"]["state"] == "idle"

    wan1 = results(lab, "/api/v2/monitor/system/interface")["wan1"]
    kernel = json.loads(lab.device_ns.ip("-j", "-s", "link", "show", "dev", "wan1").stdout)[0]
    assert (wan1["status"], wan1["link"], wan1["mtu"], wan1["mac"]) == ("up", True, kernel["mtu"], kernel["address"])
    assert f"{DEVICE_IP}/24" in wan1["addresses"]
    assert 0 < wan1["rx_bytes"] <= kernel["stats64"]["rx"]["bytes"]
    assert 0 < wan1["tx_packets"] <= kernel["stats64"]["tx"]["packets"]

    usage = results(lab, "/api/v2/monitor/system/resource/usage")
    assert all(0 <= usage[key][0]["current"] <= 100 for key in ("cpu", "mem"))
    assert usage["session"][0]["current"] >= 0 and usage["agent_resident_kb"] > 500

    fmg = results(lab, "/api/v2/monitor/system/fortimanager/status")
    assert (fmg["status"], fmg["registration"], fmg["serial"]) == (2, 2, MANAGER_SERIAL)
    assert fmg["tunnel_address"] == TUNNEL_IP and fmg["reason"] == ""

    routes = results(lab, "/api/v2/monitor/router/ipv4")
    assert {"type": "connect", "ip_mask": "192.168.48.0/24", "interface": "wan1"}.items() <= next(
        r for r in routes if r["type"] == "connect").items()
    assert any(r["ip_mask"] == "0.0.0.0/0" and r["gateway"] == "192.168.48.1" for r in routes)

    local, authority = results(lab, "/api/v2/monitor/system/available-certificates")
    assert DEVICE_SERIAL in local["subject"] and local["status"] == "valid"
    assert local["valid_from"] < local["valid_to"] and authority["type"] == "remote-ca"

    firmware = results(lab, "/api/v2/monitor/system/firmware")
    assert firmware["current"]["version"] == agent.ask_json("get", "system", "status")["version"]
    assert set(results(lab, "/api/v2/monitor/license/status")) == {"antivirus", "ips", "objects"}
    assert manager.errors() == []


def test_install_state_and_verdict(lab):
    """An install that is tested can be seen, and how it ended."""
    manager, _agent = monitored(lab)
    verdict, _text = manager.install_and_wait("m1", 'config system global\nset hostname "seen"\nend\n', "")
    status = results(lab, "/api/v2/monitor/system/status")
    assert status["hostname"] == "seen"
    assert status["install"]["last"]["id"] == "m1" and status["install"]["last"]["verdict"] == verdict


CMDB_CONFIG = DEVICE_CONFIG + """config system admin
    edit "root"
        set accprofile "super_admin"
        set password "not-to-be-seen"
    next
end
config firewall address
    edit "a b/c"
        set subnet 10.1.0.0 255.255.0.0
    next
end
config firewall address
""" + "".join(f'    edit "h{n:03}"\n        set subnet 10.0.0.{n} 255.255.255.255\n    next\n'
              for n in range(250)) + "end\n"


def test_configuration_is_readable_and_masked(lab):
    """Tables, entries and singletons of the running configuration; no secret in any of them."""
    lab.agent.configure(base=CMDB_CONFIG)
    monitored(lab)
    rows = results(lab, "/api/v2/cmdb/system/interface")
    assert {"name": "wan1", "ip": "192.168.48.81 255.255.255.0"}.items() <= rows[0].items()
    assert results(lab, "/api/v2/cmdb/system/interface/modem")["type"] == "physical"
    assert results(lab, "/api/v2/cmdb/system/global")["hostname"] == DEVICE_SERIAL
    assert results(lab, "/api/v2/cmdb/firewall/address/a%20b/c")["subnet"] == "10.1.0.0 255.255.0.0"
    answer = get(lab, "/api/v2/cmdb/system/admin")
    assert answer.json["results"][0]["password"] == "ENC ***"
    assert b"not-to-be-seen" not in answer.body


def test_long_tables_come_in_pages(lab):
    """No answer has more than 256 entries, and each says where the next begins."""
    lab.agent.configure(base=CMDB_CONFIG.replace("h00", "g00") + CMDB_CONFIG[CMDB_CONFIG.index("config firewall"):])
    monitored(lab)
    first = get(lab, "/api/v2/cmdb/firewall/address").json
    assert len(first["results"]) == 256 and first["size"] == 261 and first["next"] == 256
    last = get(lab, "/api/v2/cmdb/firewall/address?start=256").json
    assert len(last["results"]) == 5 and "next" not in last
    assert len(get(lab, "/api/v2/cmdb/firewall/address?start=2&count=3").json["results"]) == 3
    for wrong in ("start=x", "count=0", "start=-1", "start=99999999999999999999"):
        assert get(lab, f"/api/v2/cmdb/firewall/address?{wrong}").status == 400, wrong


UNKNOWN = ["/", "/api/v2/monitor/system", "/api/v2/monitor/system/status/", "/api/v2/cmdb/", "/api/v2/cmdb/agent",
           "/api/v2/cmdb/no/such", "/api/v2/cmdb/system%20interface", "/api/v2/cmdb/system/interface/none",
           "/api/v2/cmdb/../cmdb/system/global", "/api/v2/cmdb/system/global/x", "/metrics/", "/%00", "/" + "%n" * 20]


def test_unknown_paths(lab):
    """404, with the words of an error."""
    monitored(lab)
    for path in UNKNOWN:
        answer = get(lab, path)
        assert answer.status == 404 and answer.json["status"] == "error", path


def test_nothing_can_be_written(lab):
    """Any method but GET and HEAD is 405, and changes nothing."""
    _manager, agent = monitored(lab)
    before = agent.ask("get", "system", "mgmt-csum")
    body = b'{"hostname":"other"}'
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get"):
        answer = raw(lab, (f"{method} /api/v2/cmdb/system/global HTTP/1.1\r\nHost: d\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
        assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD", method
    assert agent.ask("get", "system", "mgmt-csum") == before


def test_head_is_get_without_the_body(lab):
    """HEAD gives the header alone."""
    monitored(lab)
    answer = get(lab, "/metrics", "HEAD")
    assert answer.status == 200 and answer.body == b"" and int(answer.headers["content-length"]) > 1000


METRIC = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|NaN|[+-]Inf)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parse_metrics(text):
    """Strictly: HELP, TYPE, then that family's samples and no other's; no sample twice. {(name, labels): value}."""
    assert text.endswith("\n")
    found, families, current, helped = {}, {}, None, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped = line.split(" ", 3)[2]
            assert helped not in families and line.split(" ", 3)[3]
        elif line.startswith("# TYPE "):
            _hash, _type, name, kind = line.split(" ")
            assert name == helped and kind in ("gauge", "counter")
            assert (kind == "counter") == name.endswith("_total"), name
            families[name] = current = name
        else:
            match = METRIC.fullmatch(line)
            assert match and match[1] == current, line
            labels = match[2] or ""
            pairs = LABEL.findall(labels)
            assert ",".join(f'{k}="{v}"' for k, v in pairs) == labels, line
            key = (match[1], tuple(sorted(pairs)))
            assert key not in found, line
            found[key] = float(match[3])
    return found


def test_metrics(lab):
    """Prometheus' text form, to the letter, with what the session and the kernel count."""
    manager, _agent = monitored(lab)
    answer = get(lab, "/metrics")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    metrics = parse_metrics(answer.body.decode())
    assert metrics["fgfm_connection_status", ()] == 2 and metrics["fgfm_registration_status", ()] == 2
    assert metrics["fgfm_session_packets_total", (("direction", "in"),)] > 0
    assert metrics["fgfm_interface_up", (("interface", "wan1"),)] == 1
    assert metrics["fgfm_interface_receive_bytes_total", (("interface", "wan1"),)] > 0
    assert metrics["fgfm_install_state", (("state", "idle"),)] == 1
    assert any(name == "fgfm_info" and ("serial", DEVICE_SERIAL) in labels for name, labels in metrics)
    again = parse_metrics(get(lab, "/metrics").body.decode())
    key = ("fgfm_session_packets_total", (("direction", "in"),))
    assert again[key] > metrics[key]
    assert manager.errors() == []


def test_metrics_by_the_tool_of_prometheus(lab):
    """The same judged by promtool, where it is installed."""
    promtool = subprocess.run(["sh", "-c", "command -v promtool"], capture_output=True, text=True, check=False)
    if promtool.returncode:
        pytest.skip("promtool (Debian: prometheus) is not installed")
    monitored(lab)
    done = subprocess.run([promtool.stdout.strip(), "check", "metrics"], input=get(lab, "/metrics").body,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# what is sent, and the status of the one answer that comes; 0: the connection is closed without one
BAD_REQUESTS = {
    "garbage": (bytes(range(255, 127, -1)) * 10 + b"\r\n\r\n", {0, 400, 405, 505}),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200 + b"\r\n\r\n", {0, 400, 405, 505}),
    "header-too-large": (b"GET /metrics HTTP/1.1\r\nHost: d\r\nX: " + b"y" * 20000 + b"\r\n\r\n", {0, 431}),
    "many-headers": (b"GET /metrics HTTP/1.1\r\nHost: d\r\n" + b"A: b\r\n" * 5000 + b"\r\n", {0, 431}),
    "path-too-long": (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: d\r\n\r\n", {0, 414, 431}),
    "no-host": (b"GET /metrics HTTP/1.1\r\n\r\n", {200, 400}),
    "future-version": (b"GET /metrics HTTP/9.9\r\nHost: d\r\n\r\n", {0, 400, 505}),
    "two-lengths": (b"GET /metrics HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
                    {0, 200, 400}),
    "endless-body": (b"GET /metrics HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999999\r\n\r\n", {200, 400, 413}),
    "bad-chunk": (b"POST /metrics HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {400, 405}),
    "directives": (b"GET /%25n%25s HTTP/1.1\r\nHost: %n%s\r\nX: %n%999999999c\r\n\r\n", {404}),
    "early-end": (b"GET /met", {0, 400}),
}


def test_bad_requests(lab):
    """A request that is none, or too much of one, is refused; the next client and the session notice nothing."""
    manager, _agent = monitored(lab, faketime=FAST)
    mark = manager.mark()
    for name, (request, statuses) in BAD_REQUESTS.items():
        assert raw(lab, request).status in statuses, name
        assert answers(lab), f"after {name}"
    assert manager.events("session_closed", since=mark) == [] and manager.errors() == []


def test_one_request_for_each_connection(lab):
    """Pipelined requests behind the first are not answered."""
    monitored(lab)
    one = b"GET /api/v2/monitor/license/status HTTP/1.1\r\nHost: d\r\n\r\n"
    answer = raw(lab, one * 20)
    assert answer.status == 200 and answer.headers["connection"] == "close"
    assert answer.body.count(b"HTTP/1.1") == 0


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nX: "], ids=["nothing", "half-a-header"])
def test_clients_that_do_not_finish(lab, beginning):
    """Connections that never become a request are closed after ten seconds, however they drip; nobody else waits."""
    _manager, agent = monitored(lab, faketime=FAST)
    start = len(agent.log())
    with holding(lab, 4, beginning) as client:
        def drip():
            client.stdin.write("\n")
            client.stdin.flush()
            return agent.log()[start:].count("[monitor] a client took too long") >= 4
        assert answers(lab)
        poll(drip, real(10) + 5, "slow clients to be closed", every=0.01)
        assert answers(lab)


def test_one_address_cannot_take_all_connections(lab):
    """With all its own connections taken, another address is still served; then they are free again."""
    _manager, agent = monitored(lab, faketime=REAL_TIME)
    lab.manager_ns.ip("address", "add", "192.0.2.99/32", "dev", "tun0")
    other = ("import socket,sys;s=socket.create_connection((sys.argv[1],80),5,('192.0.2.99',0));"
             "s.sendall(b'HEAD /metrics HTTP/1.0\\r\\n\\r\\n');print(s.recv(100)[:15])")
    with holding(lab, 200, b"GET / HTTP/1.1\r\n"):
        done = lab.manager_ns.run(PYTHON, "-c", other, TUNNEL_IP, check=False)
        assert "200" in done.stdout, done.stderr
        agent.ask("get", "system", "status")
    poll(lambda: answers(lab), 10, "monitoring to answer the first address again")


def test_client_that_does_not_read(lab):
    """Clients that ask and do not take the answer hold up neither another one nor the session."""
    lab.agent.configure(base=CMDB_CONFIG)
    manager, _agent = monitored(lab, manager=lab.manager(options=["--keepalive-interval", "30"]))
    mark = manager.mark()
    with holding(lab, 6, b"GET /api/v2/cmdb/firewall/address HTTP/1.1\r\nHost: d\r\n\r\n"):
        assert answers(lab)
        manager.wait("keepalive", since=mark)
    assert manager.events("session_closed", since=mark) == []


def test_nothing_but_monitoring_and_what_was_started_there(lab):
    """Through the tunnel: port 80, and a service that the administrator starts in the namespace; nothing of the host."""
    monitored(lab)

    def serve(namespace, address, port):
        code = f"import socket,time;s=socket.create_server(('{address}',{port}));print('up',flush=True);time.sleep(600)"
        process = subprocess.Popen([*map(str, namespace.enter()), PYTHON, "-c", code], stdout=subprocess.PIPE, text=True)
        lab.stack.callback(process.wait)
        lab.stack.callback(process.kill)
        assert process.stdout.readline() == "up\n"

    def scan(address, *more):
        done = lab.manager_ns.run(PYTHON, "-c", SCAN, address, *ports, *more)
        return {int(word) for word in done.stdout.split()}

    ports = [*range(1, 1025), 541, 542, 3000, 8080, 8443, 8890, 9443]
    serve(lab.device_ns, "0.0.0.0", 8080)
    serve(lab.isolated_ns, "127.0.0.1", 8443)
    assert scan(TUNNEL_IP) == {80}
    assert 8080 in scan(DEVICE_IP), "the service on the host is there, but for its own network"
    assert 80 not in scan(DEVICE_IP)
    serve(lab.isolated_ns, "0.0.0.0", 3000)
    assert scan(TUNNEL_IP) == {80, 3000}
    listening = lab.isolated_ns.run("ss", "-Hltun").stdout
    assert not any(f":{port} " in listening for port in (541, 542))


def test_allow_monitor(lab):
    """`allow-monitor disable` closes the port at once, `enable` opens it."""
    _manager, agent = monitored(lab)
    for wanted, state in (("disable", False), ("enable", True)):
        done = agent.script(f"config system central-management\nset allow-monitor {wanted}\nend\n")
        assert done.returncode == 0, done.stderr
        poll(lambda s=state: answers(lab) is s, 5, f"allow-monitor {wanted}")


def test_new_tunnel_address(lab):
    """When the manager gives another address monitoring answers there, and no longer at the old one."""
    manager, _agent = monitored(lab)
    manager.behave("ip.set.ip=169.254.0.9")
    mark = manager.mark()
    manager.call("drop")
    manager.ready(since=mark)
    poll(lambda: lab.isolated_ns.addresses("fgfm0") >= {"169.254.0.9/32"}, 5, "the new address")
    listening = poll(lambda: re.findall(r"(\S+):80 ", lab.isolated_ns.run("ss", "-Hltn").stdout), 5, "a listener")
    assert [one.partition("%")[0] for one in listening] == ["169.254.0.9"]


def test_device_that_was_deleted(lab):
    """With the device made again monitoring answers as before."""
    _manager, agent = monitored(lab)
    start = len(agent.log())
    lab.isolated_ns.ip("link", "delete", "fgfm0")
    agent.wait_log(r"\[monitor\] answers at", start=start)
    poll(lambda: answers(lab), 10, "monitoring to answer again")


def test_memory_is_back_after_many_requests(lab):
    """Thousands of answers, small and large, leave no memory and no descriptor behind."""
    lab.agent.configure(base=CMDB_CONFIG)
    _manager, agent = monitored(lab, faketime=BRISK)
    pid = agent.process.program_pid
    many = ("import socket,sys\n"
            "for n in range(int(sys.argv[2])):\n"
            "    with socket.create_connection((sys.argv[1],80),20) as s:\n"
            "        path=('/metrics','/api/v2/cmdb/firewall/address','/api/v2/monitor/system/interface','/x')[n%4]\n"
            "        s.sendall(f'GET {path} HTTP/1.1\\r\\nHost: d\\r\\n\\r\\n'.encode())\n"
            "        while s.recv(65536): pass\n")

    def load(count):
        lab.manager_ns.run(PYTHON, "-c", many, TUNNEL_IP, count)
        fds = subprocess.run(["ls", f"/proc/{pid}/fd"], capture_output=True, text=True, check=True).stdout.split()
        return memory(pid)["Private_Dirty"], len(fds)
    before, descriptors = load(200)
    after, descriptors_after = load(800)
    assert descriptors_after <= descriptors
    assert after <= before + 200
