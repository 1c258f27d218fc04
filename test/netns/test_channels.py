"""Channels: many at once, compressed, forwarded ports, ends of every kind; configurations and what has changed."""

import concurrent.futures

import pytest

import frame
from control import ControlError
from harness import DEVICE_SERIAL, FAST, HARMLESS_SET, HARMLESS_UNSET, real
from message import Message
from netns import PYTHON, Process, poll

DIRECTIVES = r"%s%n%x%p%1$s%999999999c"

# sends back what comes, upside down
SERVER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.create_server((sys.argv[1], 7007), family=family)
print("listening", flush=True)
while True:
    peer, _ = server.accept()
    with peer:
        while data := peer.recv(65536):
            if data == b"bye": break
            peer.sendall(data.swapcase())
"""


def many_interfaces(count):
    return "config system interface\n" + "".join(
        f'    edit "net{i}"\n        set description "number {i * 7919}"\n    next\n' for i in range(count)) + "end\n"


def echo_server(lab, address="127.0.0.1"):
    """A service on the device's loopback."""
    lab.device_ns.ip("link", "set", "lo", "up")
    server = Process([*lab.device_ns.enter(), PYTHON, "-c", SERVER, address], lab.folder / "echo.log")
    lab.stack.callback(server.destroy)
    poll(lambda: "listening" in server.text(), 10, "the echo server")


def connect(manager, port=7007, **options):
    return manager.call("open", keys={"tcp_port": str(port)}, request="connect_tcp", **options)



def test_sixteen_at_once(lab):
    """Retrievals side by side, every other one compressed, through small windows: each complete and the same."""
    lab.agent.configure(more=many_interfaces(3000))
    manager, _agent = lab.connected(manager=lab.manager(options=["--window", "4096"]))
    want = manager.get_config()

    def fetch(number):
        return manager.call("get_config", deflate=number % 2 == 0)["config"]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        got = list(pool.map(fetch, range(16)))
    assert len(want) > 200_000 and all(text == want for text in got)
    assert manager.errors() == []


def test_seventeenth_channel(lab):
    """409, and one that closes makes room."""
    manager, _agent = lab.connected()
    held = [manager.call("open", keys={"file_exch_cmd": "put_config", "install_id": f"h{i}"}, hold=True)
            for i in range(16)]
    with pytest.raises(ControlError, match="refused 409"):
        manager.get_config()
    assert len(held) == 16
    manager.call("drop")
    manager.ready(since=manager.mark() - 1, timeout=20)
    assert manager.get_config()


def test_compressed_config(lab):
    """The same text, with and without defaults."""
    manager, _agent = lab.connected()
    plain, full = manager.get_config(), manager.get_config(full=True)
    assert manager.call("get_config", deflate=True)["config"] == plain
    assert manager.call("get_config", deflate=True, full=True)["config"] == full
    assert len(full) > len(plain) and manager.errors() == []


def test_compressed_install(lab):
    """Scripts compressed, results compressed line by line."""
    manager, agent = lab.connected()
    assert manager.install_and_wait("z1", HARMLESS_SET, HARMLESS_UNSET, deflate=True)[0] == "committed"
    assert manager.result_lines("z1")[1] == (0, 'set hostname "renamed"')
    assert 'set hostname "renamed"' in agent.saved.read_text() and manager.errors() == []


@pytest.mark.parametrize("keys, text, code", [
    ({"file_exch_cmd": "put_script", "script_id": "b"}, "#" * 5_000_000, "413"),
    ({"file_exch_cmd": "put_json_cmd"}, " " * 1_000_000, "413"),
    ({"file_exch_cmd": "put_config", "install_id": "b"}, "\n" * 9_000_000, "413")], ids=["script", "json", "install"])
def test_gzip_bomb(lab, keys, text, code):
    """More than a hundred times its size: 413, the channel closed, the session lives on, nothing changed."""
    manager, agent = lab.connected()
    before = agent.saved.read_bytes()
    back = manager.call("open", keys={**keys, "deflate": "gzip"}, streams=[text])
    assert back["closed"] and back["code"] == code
    assert manager.get_config() and agent.saved.read_bytes() == before
    assert len(manager.events("accept")) == 1


def test_what_is_no_gzip(lab):
    """400 for plain bytes where a member was announced, and for another coding."""
    manager, _agent = lab.connected()
    back = manager.call("open", keys={"file_exch_cmd": "put_script", "script_id": "x", "deflate": "gzip"},
                        raw="5\nplain0\n")
    assert back["closed"] and back["code"] == "400"
    with pytest.raises(ControlError, match="refused 400"):
        manager.call("open", keys={"file_exch_cmd": "get_config", "deflate": "brotli"})
    assert manager.get_config()


def test_no_progress(lab):
    """A channel that stands still is closed after sock_timeout; the session stays."""
    manager, _agent = lab.connected(manager=lab.manager(options=["--sock-timeout", "90"],
                                                        behaviour=["keepalive_every=0.3"]), faketime=FAST)
    since = manager.mark()
    manager.call("open", keys={"file_exch_cmd": "put_script", "script_id": "slow"}, hold=True)
    assert manager.wait("channel_closed", real(120), since)["code"] == "500"
    assert manager.get_config() and len(manager.events("accept")) == 1


def test_changes_since(lab):
    """Auto update: what leads from the configuration the manager knows to the one that runs."""
    manager, agent = lab.connected()
    old = manager.wait("keepalive")["checksum"]
    mark = manager.mark()
    assert agent.script('config system global\n    set hostname "drifted"\nend\n').returncode == 0
    new = manager.wait("keepalive", since=mark)["checksum"]
    assert new != old, "a local change shows in a keep-alive at once"
    sums = agent.ask("get", "system", "mgmt-csum")
    assert new in sums and old not in sums

    def changes(checksum):
        return manager.call("open", keys={"file_exch_cmd": "get_config_diff", "checksum": checksum})["streams"]

    assert changes(old) == ['config system global\n    set hostname "drifted"\nend\n']
    assert changes(new) == [""]
    with pytest.raises(ControlError, match="refused 404"):
        changes("00 " * 15 + "00")
    with pytest.raises(ControlError, match="refused 400"):
        changes("../../etc/passwd")
    assert manager.errors() == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_forwarded_port(lab, address):
    """Bytes both ways, many windows of them, through either loopback address."""
    lab.agent.set(tcp_forward="7007")
    manager, _agent = lab.connected(manager=lab.manager(options=["--window", "4096"]))
    echo_server(lab, address)
    text = "Good Morning " * 20_000
    back = connect(manager, raw=text, raw_bytes=len(text))
    assert back["streams"] == [text.swapcase()]
    assert manager.errors() == []


def test_forwarded_port_that_closes(lab):
    """The service hangs up: a close in order."""
    lab.agent.set(tcp_forward="7007")
    manager, _agent = lab.connected()
    echo_server(lab)
    back = connect(manager, raw="bye")
    assert back["closed"] and back["code"] is None


def test_forwarded_port_that_nobody_serves(lab):
    """500, and the session lives on."""
    lab.agent.set(tcp_forward="7007")
    manager, _agent = lab.connected()
    with pytest.raises(ControlError, match="refused 500|closed 500"):
        back = connect(manager, raw="x")
        raise ControlError(f"closed {back['code']}")
    assert manager.get_config()


def test_other_ports_and_shells_stay_refused(lab):
    """Only what `tcp-forward` names, and no shell even there."""
    lab.agent.set(tcp_forward="7007 7008")
    manager, _agent = lab.connected()
    echo_server(lab)
    for keys in ({"tcp_port": "22"}, {"tcp_port": "7009"}, {"tcp_port": "7007", "cmd": "sh"},
                 {"tcp_port": "7007", "terminal": "vt100"}, {"tcp_port": "-1"}, {"tcp_port": "70071"}, {}):
        with pytest.raises(ControlError, match="refused 403"):
            manager.call("open", keys=keys, request="connect_tcp")
    assert connect(manager, raw="Still here", raw_bytes=10)["streams"] == ["sTILL HERE"]


@pytest.mark.parametrize("keys, code", [
    ({"file_exch_cmd": DIRECTIVES}, 404),
    ({"file_exch_cmd": "get_config", "full": DIRECTIVES}, None),
    ({"file_exch_cmd": "get_config", "deflate": DIRECTIVES}, 400),
    ({"file_exch_cmd": "put_config", "install_id": DIRECTIVES}, 400),
    ({"file_exch_cmd": "put_script", "script_id": DIRECTIVES}, 400),
    ({"tcp_port": DIRECTIVES}, 403), ({"tcp_port": "22", "cmd": DIRECTIVES}, 403),
])
def test_format_directives_in_requests(lab, keys, code):
    """The keys that open a channel: refused with their code, or without effect; the session lives on."""
    manager, agent = lab.connected()
    request = "connect_tcp" if "tcp_port" in keys else "file_exchange"
    if code:
        with pytest.raises(ControlError, match=f"refused {code}"):
            manager.call("open", keys=keys, request=request)
    else:
        assert DEVICE_SERIAL in manager.call("open", keys=keys, request=request, expect=1)["streams"][0]
    assert manager.get_config() and agent.process.alive() and manager.errors() == []


@pytest.mark.parametrize("action", ["ack", "close", "wave"])
def test_format_directives_in_channel_messages(lab, action):
    """What a manager says of an open channel, or of none: at most that channel is lost."""
    manager, agent = lab.connected()
    for number in (1, 2, 3):
        manager.call("send_raw", hex=frame.build(frame.MESSAGE, Message("channel", "", {
            "remoteid": str(number), "action": action, "ack": DIRECTIVES, "code": DIRECTIVES,
            "reason": DIRECTIVES}).body()).hex())
    assert manager.get_config() and agent.process.alive()
