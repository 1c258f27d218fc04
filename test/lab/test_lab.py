"""The lab manager, tested with a minimal device of its own (fakeagent.py).

Shown here: that a well-behaved device is served and never accused, that every deviation the lab claims to
see is seen, and that each way of misbehaving reaches the wire.
"""

import json
import subprocess
import sys

import pytest

import channel
import frame
import message
import mischief
from behaviour import Behaviour, BehaviourError
from conftest import HERE
from control import ControlError
from fakeagent import CHECKSUM, SERIAL, Closed

SET_SCRIPT = 'config system interface\nedit "wan1"\nset ip 192.168.49.81 255.255.255.0\nnext\nend\n'
UNSET_SCRIPT = 'config system interface\nedit "wan1"\nset ip 192.168.48.81 255.255.255.0\nnext\nend\n'


def fmg(*words, **options):
    return subprocess.run([sys.executable, str(HERE / "fmg"), *words], capture_output=True, text=True,
                          timeout=30, check=False, **options)


# frames, messages, streams by themselves

GOOD_FRAME = frame.build(frame.MESSAGE, b"keepalive\r\n\r\n\0")


@pytest.mark.parametrize("raw, field", [
    (b"\x63\x0e" + GOOD_FRAME[2:], "magic"),
    (GOOD_FRAME[:2] + b"\x12" + GOOD_FRAME[3:], "version"),
    (GOOD_FRAME[:3] + b"\x02" + GOOD_FRAME[4:], "type"),
    (frame.build(0, b"x", length=0), "length"),
    (frame.build(0, b"x", length=8), "length"),
    (frame.build(0, b"x", length=69641), "length"),
    (frame.build(0, b"x", length=0xFFFFFFFF), "length"),
], ids=["magic", "version", "type", "zero", "eight", "above", "all-ones"])
def test_bad_headers_name_the_field(raw, field):
    with pytest.raises(frame.FrameError) as error:
        frame.FrameReader().feed(raw)
    assert error.value.field == field


def test_frames_are_cut_at_any_byte():
    reader = frame.FrameReader()
    got = [pair for i in range(2 * len(GOOD_FRAME)) for pair in reader.feed((GOOD_FRAME * 2)[i:i + 1])]
    assert got == [(0, b"keepalive\r\n\r\n\0")] * 2 and reader.pending == 0


def test_largest_frame_passes():
    body = b"a" * (frame.MAX_LENGTH - frame.HEADER.size)
    assert frame.FrameReader().feed(frame.build(1, body)) == [(1, body)]


@pytest.mark.parametrize("body, word", [
    (b"a\r\n\0", "empty line"), (b"a\r\nB=1\r\n\r\n\0", "a-z0-9"), (b"a\r\nb=\x01\r\n\r\n\0", "control"),
    (b"a\r\nb=1\r\nb=2\r\n\r\n\0", "repeated"), (b"a\r\nb\r\n\r\n\0", "without '='"),
    (b"a\r\n\r\n\0rest", "after the NUL"), (b"a\r\nb=1\nc=2\r\n\r\n\0", "bare"),
    (b"a\r\nb=" + b"v" * 4097 + b"\r\n\r\n\0", "4096"),
    (b"a\r\n" + b"".join(b"k%d=\r\n" % i for i in range(129)) + b"\r\n\0", "129 keys"),
])
def test_message_deviations_are_named(body, word):
    assert any(word in problem for problem in message.parse(body)[1])


def test_good_message_has_no_deviation():
    text, problems = message.parse(b"reply 200\r\nrequest=ip\r\nuser=a=b\r\n\r\n\0")
    assert problems == [] and text.get("user") == "a=b" and text.argument == "200"


@pytest.mark.parametrize("body", [b"keepalive\r\n\r\n", b"\0", b"keepalive\0"])
def test_what_is_no_message(body):
    with pytest.raises(message.MessageError):
        message.parse(body)


def test_streams_survive_any_cut():
    coded = channel.encode_stream(b"abcdefghij" * 50, 7) + channel.encode_stream(b"")
    decoder = channel.StreamDecoder()
    items = [item for i in range(len(coded)) for item in decoder.feed(coded[i:i + 1])]
    assert items.count(None) == 2 and b"".join(i for i in items if i) == b"abcdefghij" * 50


@pytest.mark.parametrize("coded", [b"x\n", b"-1\n", b"\n", b"01\na", b"+1\na", b"99999999999\n", b"1 \na"])
def test_bad_stream_coding(coded):
    with pytest.raises(channel.StreamError):
        channel.StreamDecoder().feed(coded)


@pytest.mark.parametrize("setting", ["auth.colour=1", "at.nowhere=close", "at.get-ip=explode", "tls.min=2",
                                     "auth.code=many", "auth.raw=nonsense", "silence=maybe"])
def test_wrong_settings_are_refused(setting):
    with pytest.raises(BehaviourError):
        Behaviour().set(*setting.split("=", 1))


# a good device

def test_full_session(manager):
    agent = manager.agent().start()
    assert agent.auth.get("serialno") == "FMG-VM0000000001"
    assert agent.ip.names() == ["overwrite_fmgid", "request", "ip", "mgmtid", "register_status", "fmg_ip",
                                "keepalive_interval", "chan_window_sz", "sock_timeout"]
    assert manager.wait("ready", registered=True)["tunnel_ip"] == "169.254.0.2"
    agent.background()
    agent.keepalive()
    assert manager.wait("keepalive", n=1)["checksum"] == CHECKSUM
    assert manager.client.call("get_config")["config"] == agent.config
    agent.close()
    manager.wait("session_closed")
    assert manager.errors() == []


@pytest.mark.parametrize("lines", [5, 20000], ids=["short", "many-windows"])
@pytest.mark.parametrize("window", [4096, 32768, 65536])
def test_install_streams_within_the_window(manager, window, lines):
    agent = manager.agent(window=window).start()
    agent.background()
    script = "".join(f"set comment {n}\n" for n in range(lines))
    manager.client.call("install", id="i1", set=script, unset=UNSET_SCRIPT)
    assert manager.wait("result", timeout=30, result="committed")["lines"] == lines
    assert [s.decode() for s in agent.scripts] == [script, UNSET_SCRIPT]
    assert manager.errors() == []


def test_install_compressed_scripts_arrive_as_one_gzip_member(manager):
    agent = manager.agent().start()
    agent.background()
    manager.client.call("open", keys={"file_exch_cmd": "put_config", "install_id": "z", "deflate": "gzip"},
                        streams=[SET_SCRIPT], expect=0)
    # the device has worked on all that was sent once it answers something sent later
    manager.client.call("get_config")
    received = next(iter(agent.channels.values()))["streams"][0]
    assert channel.inflate(received).decode() == SET_SCRIPT


def test_refused_install_is_told(manager):
    agent = manager.agent().start()
    agent.verdict = "result=refused reason=install pending"
    agent.background()
    manager.client.call("install", id="i2", set="", unset="")
    assert manager.wait("result")["rest"] == "reason=install pending"
    assert manager.errors() == []


def test_receipt_is_taken_and_acknowledged(manager):
    agent = manager.agent().start()
    agent.background()
    agent.deliver("i3", {"id": "i3", "verdict": "rolled-back", "filler": "x" * 100000})
    assert manager.wait("receipt", install_id="i3")["receipt"]["verdict"] == "rolled-back"
    manager.client.call("get_config")
    receipt = next(c for c in agent.channels.values() if c["command"] == "put_install_result")
    assert receipt["confirmed"] == receipt["sent"] == len(receipt["out"]) and manager.errors() == []


def test_registration_reaches_a_live_session(start_manager):
    manager = start_manager()
    agent = manager.agent().start()
    assert agent.ip.get("register_status") == "0" and agent.ip.get("ip") is None
    agent.background()
    manager.client.call("register", serial=SERIAL)
    manager.wait("updated", registered=True)
    manager.client.call("unregister", serial=SERIAL)
    manager.wait("updated", registered=False)
    # both updates lie before this answer on the connection
    agent.keepalive()
    manager.wait("keepalive", n=1)
    manager.client.call("get_config")
    told = [m.get("register_status") for m in agent.replies if m.get("request") == "ip"]
    assert told == ["1", "0"]


def test_many_sessions_at_once(manager):
    agents = [manager.agent().start() for _ in range(50)]
    assert len(manager.client.call("sessions")["sessions"]) == 50
    for agent in agents:
        agent.close()


# devices that deviate

@pytest.mark.parametrize("fault, what", [
    ("key-order", "keys of get auth"), ("extra-key", "keys of get ip"), ("checksum", "keepalive"),
    ("no-blank", "message form"), ("early-keepalive", "keepalive"), ("stray-reply", "reply"),
    ("serial", "serialno"), ("lying-ip", "IP packet"), ("foreign-ip", "source of an IP packet"),
])
def test_deviations_of_a_session(manager, fault, what):
    agent = manager.agent(faults=[fault]).start()
    if fault != "serial":
        agent.background()
        agent.keepalive()
        if fault == "stray-reply":
            agent.send("reply", "200", request="coffee")
        elif fault == "lying-ip":
            agent.send_ip(bytes.fromhex("450000ff000000004001000000000000ffffffff"))
        elif fault == "foreign-ip":
            agent.send_ip(bytes.fromhex("4500001400000000400100000a010101c0a8302e"))
    assert manager.wait("protocol_error", what=what)


@pytest.mark.parametrize("fault, what", [
    ("no-acks", "channel acknowledgement"), ("late-acks", "bytes covered by one acknowledgement"),
    ("ack-ahead", "ack value"), ("overrun", "channel window"), ("bad-stream", "stream coding"),
])
def test_deviations_of_a_channel(manager, fault, what):
    # an overrun can only be told for sure while nothing is acknowledged
    manager.behave(ack="off" if fault == "overrun" else "on")
    agent = manager.agent(faults=[fault]).start()
    agent.background()
    script = "".join(f"set comment {n}\n" for n in range(10000))
    manager.client.call("install", id="i1", set=script, unset=UNSET_SCRIPT)
    assert manager.wait("protocol_error", what=what)
    agent.close()


def test_refusal_without_reason(manager):
    agent = manager.agent(faults=["no-reason"]).start()
    agent.background()
    with pytest.raises(ControlError, match="refused 404"):
        manager.client.call("open", keys={"file_exch_cmd": "coffee"})
    assert manager.wait("protocol_error", what="reply")


def test_bad_frame_ends_the_session(manager):
    agent = manager.agent().start()
    agent._tls.sendall(b"\0" * 8)
    assert manager.wait("protocol_error", what="frame magic")
    with pytest.raises(Closed):
        agent.receive()


# managers that misbehave

@pytest.mark.parametrize("phase", ["accept", "client-hello", "handshake-done", "get-auth", "auth-reply", "get-ip"])
@pytest.mark.parametrize("action", ["close", "fin", "rst"])
def test_connection_is_cut_once_at_a_phase(manager, phase, action):
    manager.behave(**{f"at__{phase}": f"{action}*1"})
    with pytest.raises((Closed, OSError)):
        agent = manager.agent()
        agent.start()
        agent.receive()
    manager.wait("session_closed")
    assert manager.agent().start().ip.argument == "200"


def test_cut_in_the_middle_of_an_install(manager):
    manager.behave(**{"at__stream-1": "rst"})
    agent = manager.agent().start()
    thread = agent.background()
    manager.client.call("install", id="i1", set=SET_SCRIPT, unset=UNSET_SCRIPT)
    thread.join(5)
    assert not thread.is_alive() and len(agent.scripts) == 0


def test_replies_can_be_bent(manager):
    manager.behave(auth__omit="sock_timeout,chan_window_sz", auth__set__user="a%n\\x01b", ip__code="403",
                   ip__set__ip="")
    agent = manager.agent().start()
    assert agent.auth.get("sock_timeout") is None and agent.auth.get("user") == "a%n\x01b"
    assert agent.ip.argument == "403" and agent.ip.get("ip") == ""


@pytest.mark.parametrize("name", sorted(mischief.FRAMES))
def test_raw_bytes_replace_a_reply(manager, name):
    good = frame.build(frame.MESSAGE, b"reply 200\r\n\r\n\0")
    bad = mischief.FRAMES[name](good)
    manager.behave(auth__raw=f"hex:{bad[:2000].hex()}")
    agent = manager.agent()
    agent.send("get", "auth", **agent.identity())
    got = b""
    while len(got) < len(bad[:2000]):
        got += agent._tls.recv(4096)
    assert got == bad[:2000]


@pytest.mark.parametrize("name", sorted(mischief.TEXTS))
def test_every_text_of_the_table_can_be_made(name):
    body = mischief.TEXTS[name](message.Message("reply", "200", {"request": "auth", "serialno": "F"}))
    assert isinstance(body, bytes) and body


def test_request_before_authentication(manager):
    manager.behave(**{"at__handshake-done": "say:get-config+say:keepalive"})
    agent = manager.agent()
    assert agent.receive().argument == "file_exchange" and agent.receive().verb == "keepalive"


def test_silence_and_stall(manager):
    agent = manager.agent().start()
    agent.background()
    manager.behave(silence="on")
    agent.keepalive()
    manager.wait("keepalive", n=1)
    assert agent.replies == []
    manager.behave(silence="off")
    agent.keepalive()
    manager.wait("keepalive", n=2)
    manager.client.call("get_config")
    assert [m.get("request") for m in agent.replies] == ["keepalive"]


def test_own_keepalives(manager):
    manager.behave(keepalive_every="0.05", keepalive__send__avdb="91.00001")
    agent = manager.agent().start()
    agent.background()
    assert manager.wait("keepalive_reply", code=200)
    assert manager.wait("tx", line="keepalive")["keys"]["avdb"] == "91.00001"


def test_keepalive_on_demand(manager):
    agent = manager.agent().start()
    with pytest.raises(ControlError, match="no answer to a keep-alive within 0.2 s"):
        manager.client.call("keepalive", timeout=0.2)
    agent.background()
    manager.client.call("keepalive")
    assert manager.wait("keepalive_reply", code=200)


@pytest.mark.parametrize("rule", ["409", "close"])
def test_second_session_can_be_refused(manager, rule):
    manager.behave(second_session=rule)
    first = manager.agent().start()
    second = manager.agent()
    if rule == "close":
        with pytest.raises(Closed):
            second.start()
    else:
        assert second.start().auth.argument == "409"
    first.close()


def test_certificate_changes_at_run_time(manager, pki):
    manager.client.call("cert", cert=f"{pki}/manager-02.pem", key=f"{pki}/manager-02.key",
                        new_serial="FMG-VM0000000002")
    agent = manager.agent().start()
    assert agent.auth.get("serialno") == "FMG-VM0000000002"
    assert dict(x[0] for x in agent._tls.getpeercert()["subject"])["commonName"] == "FMG-VM0000000002"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_version_is_pinned(manager, version):
    manager.behave(tls__min=version, tls__max=version)
    agent = manager.agent().start()
    assert agent._tls.version() == f"TLSv{version}"
    assert manager.wait("tls")["tls_version"] == f"TLSv{version}"


def test_tls_1_1_is_really_offered(manager):
    manager.behave(tls__min="1.1", tls__max="1.1")
    done = subprocess.run(["openssl", "s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect",
                           f"127.0.0.1:{manager.port}", "-cert", f"{manager.pki}/device.pem", "-key",
                           f"{manager.pki}/device.key"], input=b"", capture_output=True, check=False, timeout=10)
    assert b"TLSv1.1" in done.stdout


def test_held_channels_pile_up(manager):
    agent = manager.agent().start()
    agent.background()
    for _ in range(17):
        manager.client.call("open", keys={"file_exch_cmd": "get_config"}, hold=True)
    assert len(agent.channels) == 17


# the program

def test_install_wait_prints_lines_and_result(manager, tmp_path):
    agent = manager.agent().start()
    agent.background()
    (tmp_path / "set").write_text(SET_SCRIPT)
    (tmp_path / "unset").write_text(UNSET_SCRIPT)
    done = fmg("ctl", manager.client.path, "install", "--id", "7", "--set", str(tmp_path / "set"),
               "--unset", str(tmp_path / "unset"), "--wait", "--timeout", "10")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "0: config system interface"
    assert done.stdout.splitlines()[-1] == "result=committed"


@pytest.mark.parametrize("words, code", [
    (["--help"], 0), (["serve", "--help"], 0), (["behaviours"], 0), (["ctl", "x", "install", "--help"], 0),
    ([], 2), (["ctl", "/nonexistent/sock", "status"], 1),
])
def test_program_exit_codes(words, code):
    assert fmg(*words).returncode == code


def test_events_stream_as_json(manager):
    manager.agent().start()
    manager.wait("ready")
    with subprocess.Popen([sys.executable, str(HERE / "fmg"), "ctl", manager.client.path, "events", "--json"],
                          stdout=subprocess.PIPE, text=True) as stream:
        names = []
        while "ready" not in names:
            names.append(json.loads(stream.stdout.readline())["event"])
        stream.kill()
    assert names[0] == "listening" and "get_auth" in names
