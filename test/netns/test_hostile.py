"""Managers that break the protocol: nothing they say may do more than end the connection."""

import pytest

import expect
from harness import DEVICE_SERIAL, MANAGER_SERIAL, ControlError, ip_packet
from netns import poll

import frame
import mischief

HOSTILE_VALUE = r"%s%n%x%p%1$s%999999999c"

# name of the bad frame: the header field the agent has to name, None where the connection just ends
BAD_FRAMES = {"garbage": "magic", "http": "magic", "magic": "magic", "version": "version", "type": "type",
              "len-0": "length", "len-7": "length", "len-8": "length", "len-max": "length",
              "len-oversize": "length", "oversize": "length"}

REFUSED_TEXTS = ["controls", "delete", "escape", "nul", "keys-129", "key-65", "key-upper", "key-empty",
                 "value-4097", "text-long", "no-equals", "no-nul", "no-verb", "only-nul", "trailing"]
ACCEPTED_TEXTS = ["no-blank", "equals-in-value", "unknown-keys", "repeat", "directives"]


def assert_recovers(manager, agent, since):
    """Once the manager behaves, a session comes up."""
    manager.well_behaved()
    manager.ready(since=since)
    assert agent.process.alive()


@pytest.mark.parametrize("reply, bad", [*(("auth", bad) for bad in BAD_FRAMES), ("ip", "magic"), ("ip", "len-max")])
def test_bad_frame_in_place_of_a_reply(lab, reply, bad):
    """One log line names the field, what was expected and what came; the agent connects again."""
    manager = lab.manager(behaviour=[f"{reply}.raw={bad}"])
    agent = lab.agent.start()
    agent.wait_log(expect.frame_refusal(BAD_FRAMES[bad]))
    mark = manager.wait("session_closed")["seq"]
    assert_recovers(manager, agent, mark)


@pytest.mark.parametrize("bad", BAD_FRAMES)
def test_bad_frame_in_a_live_session(lab, bad):
    """The same in the middle of a good session: exactly one line for it."""
    manager, agent = lab.connected()
    start, mark = len(agent.log()), manager.mark()
    manager.call("send_raw", hex=_frame(bad).hex())
    agent.wait_log(expect.frame_refusal(BAD_FRAMES[bad]), start=start)
    manager.wait("session_closed", since=mark)
    assert_recovers(manager, agent, mark)
    lines = [line for line in agent.log()[start:].splitlines()
             if expect.search(expect.frame_refusal(BAD_FRAMES[bad]), line)]
    assert len(lines) == 1


def _frame(name):
    return mischief.FRAMES[name](frame.build(frame.MESSAGE, b"keepalive\r\n\r\n\0"))


@pytest.mark.parametrize("bad", ["short", "truncated"])
def test_frame_that_never_ends(lab, bad):
    """Half a frame, then the end of the connection."""
    manager = lab.manager(behaviour=[f"auth.raw={bad}", "at.auth-reply=close"])
    agent = lab.agent.start()
    mark = manager.wait("session_closed")["seq"]
    assert_recovers(manager, agent, mark)


@pytest.mark.parametrize("text", REFUSED_TEXTS)
def test_malformed_text_ends_the_connection(lab, text):
    """Text out of bounds in the auth reply: no get ip follows."""
    manager = lab.manager(behaviour=[f"auth.text={text}"])
    agent = lab.agent.start()
    mark = manager.wait("session_closed")["seq"]
    assert manager.events("get_ip") == []
    assert_recovers(manager, agent, mark)


@pytest.mark.parametrize("text", ACCEPTED_TEXTS)
def test_unusual_text_is_understood(lab, text):
    """A missing empty line, an '=' in a value, unknown, repeated and hostile values do no harm."""
    manager, agent = lab.connected(manager=lab.manager(behaviour=[f"auth.text={text}"]))
    assert manager.errors() == [] and agent.trusted() == [MANAGER_SERIAL]


def test_first_of_a_repeated_key_counts(lab):
    """A second serialno changes nothing, and is logged."""
    _manager, agent = lab.connected(manager=lab.manager(behaviour=["auth.text=repeat"]))
    assert expect.search(expect.log("key repeated"), agent.log())
    assert "FMG-VM9999999999" not in agent.trusted()


@pytest.mark.parametrize("key", ["auth.set.serialno", "auth.set.keepalive_interval", "auth.set.chan_window_sz",
                                 "auth.set.sock_timeout", "auth.set.user", "auth.set.authip", "auth.set.reason",
                                 "ip.set.ip", "ip.set.mgmtid", "ip.set.register_status", "ip.set.fmg_ip",
                                 "ip.set.overwrite_fmgid", "ip.set.reason"])
def test_format_directives_in_every_value(lab, key):
    """printf directives in any value: taken as text, or refused; the agent lives and recovers."""
    manager = lab.manager(behaviour=[f"{key}={HOSTILE_VALUE}"])
    agent = lab.agent.start()
    mark = manager.wait("get_auth")["seq"]
    agent.wait_ready()
    manager.well_behaved()
    manager.call("drop")
    manager.ready(since=mark)
    assert agent.process.alive()


@pytest.mark.parametrize("key", ["avdb", "ipsdb", "os_ver"])
def test_format_directives_in_keepalives(lab, key):
    """The manager's version strings are text as well."""
    manager, agent = lab.connected()
    manager.behave(f"keepalive.send.{key}={HOSTILE_VALUE}", "keepalive_every=0.05")
    manager.wait("keepalive_reply")
    assert agent.process.alive() and len(manager.events("session_closed")) == 0


@pytest.mark.parametrize("say", ["ip-reply", "get-config", "put-config", "connect-tcp", "shell",
                                 "channel", "keepalive", "ip-packet", "unknown-verb", "stray-reply"])
def test_anything_before_authentication(lab, say):
    """Before the auth reply nothing is looked at but a valid reply to get auth: the connection ends."""
    manager = lab.manager(behaviour=[f"at.handshake-done=say:{say}*1", "auth.delay=0.3"])
    agent = lab.agent.start()
    closed = manager.wait("session_closed")
    assert manager.events("get_ip", session=closed["session"]) == []
    assert manager.events("rx", session=closed["session"], line="get file_exchange") == []
    assert_recovers(manager, agent, closed["seq"])


@pytest.mark.parametrize("ip_setting", ["ip.set.register_status=0", "ip.omit=register_status",
                                        "ip.set.register_status=2", "ip.set.register_status=01"])
def test_unregistered_manager_may_not_install(lab, ip_setting):
    """From an unprivileged session: 401, nothing changed, no journal, no tunnel."""
    manager = lab.manager(behaviour=[ip_setting])
    agent = lab.agent.start()
    manager.wait("ready", registered=False)
    before = agent.saved.read_bytes()
    manager.install("h1", 'config system global\nset hostname "owned"\nend\n', "")
    assert manager.wait("install_refused", install_id="h1")["code"] == 401
    assert agent.saved.read_bytes() == before and not agent.journal.exists()
    assert "owned" not in agent.ask("show", "system", "global")
    manager.call("send_ip", hex=ip_packet("192.168.48.46", "169.254.0.2").hex())
    assert agent.trusted() == []
    assert manager.errors() == []


@pytest.mark.parametrize("keys", [{"tcp_port": "22", "cmd": "/bin/sh"}, {"tcp_port": "22", "terminal": "vt100"},
                                  {"cmd": "id", "terminal": "vt100"}])
def test_shell_over_connect_tcp_is_refused(lab, keys):
    """cmd= and terminal= ask for a shell: 403, and a security event."""
    manager, agent = lab.connected()
    with pytest.raises(ControlError, match="refused 403"):
        manager.call("open", keys=keys, request="connect_tcp")
    assert expect.search(expect.log("security event"), agent.log())


def test_connect_tcp_needs_a_configured_port(lab):
    """A port that is not in tcp-forward is refused."""
    manager, _agent = lab.connected()
    with pytest.raises(ControlError, match="refused 403"):
        manager.call("open", keys={"tcp_port": "22"}, request="connect_tcp")


@pytest.mark.parametrize("request_name, keys, code", [
    ("coffee", {}, 404), ("file_exchange", {"file_exch_cmd": "coffee"}, 404),
    ("file_exchange", {"file_exch_cmd": "put_config"}, 400),
    ("file_exchange", {"file_exch_cmd": "put_config", "install_id": "../../etc/passwd"}, 400),
    ("file_exchange", {"file_exch_cmd": "put_config", "install_id": "x" * 65}, 400),
])
def test_bad_requests_get_their_code(lab, request_name, keys, code):
    """Unknown and malformed requests are answered; the session lives on."""
    manager, _agent = lab.connected()
    with pytest.raises(ControlError, match=f"refused {code}"):
        manager.call("open", keys=keys, request=request_name)
    assert manager.get_config() and manager.errors() == []


def test_window_overrun_closes_the_channel(lab):
    """A manager that overruns the agent's window loses that channel with 413, not the session.

    One message larger than the window: anything less the agent may have acknowledged in the meantime.
    """
    manager, agent = lab.connected()
    manager.behave("chunk=66000")
    back = manager.call("open", keys={"file_exch_cmd": "put_config", "install_id": "o1"},
                        streams=["# padding\n" * 20000], fault="overrun", expect=1)
    assert back["closed"] and back["code"] == "413"
    assert manager.get_config() and not agent.journal.exists()


@pytest.mark.parametrize("fault", ["bad-length", "huge-length", "max-length", "negative-length", "empty-length"])
def test_bad_stream_coding_closes_the_channel(lab, fault):
    """A stream that is not coded as it should be costs the channel, not the session."""
    manager, agent = lab.connected()
    back = manager.call("open", keys={"file_exch_cmd": "put_config", "install_id": "s1"}, streams=["get sys status\n"],
                        fault=fault, expect=1)
    assert back["closed"]
    assert manager.get_config() and not agent.journal.exists()


@pytest.mark.parametrize("stream", ["stream-1", "stream-2"])
def test_close_in_mid_stream_installs_nothing(lab, stream):
    """An install whose scripts did not come whole does not begin."""
    manager, agent = lab.connected()
    manager.install("c1", 'config system global\nset hostname "half"\nend\n', "config system global\nend\n",
                    faults={"cut": stream})
    assert manager.get_config()
    assert "half" not in manager.get_config() and not agent.journal.exists()
    assert manager.errors() == []


def test_sixteen_channels_and_not_one_more(lab):
    """The 17th open channel is refused; a closed one makes room."""
    manager, _agent = lab.connected()
    manager.behave("ack=off")
    for _ in range(16):
        manager.call("open", keys={"file_exch_cmd": "put_config", "install_id": "k"}, hold=True)
    with pytest.raises(ControlError, match="refused"):
        manager.call("open", keys={"file_exch_cmd": "put_config", "install_id": "k"}, hold=True)
    assert len(manager.sessions()) == 1


def test_script_above_the_bound(lab):
    """9 MiB of script: 413, the channel closed, the session lives on, nothing changed."""
    manager, agent = lab.connected()
    script = "# a comment that fills the script with nothing at all\n" * (9 * 1024 * 1024 // 54)
    keys = {"file_exch_cmd": "put_config", "install_id": "big"}
    manager.behave("chunk=32768")
    back = manager.call("open", keys=keys, streams=[script], expect=1)
    assert back["closed"] and back["code"] == "413"
    assert manager.get_config() and not agent.journal.exists()


def test_manager_that_stops_reading(lab):
    """A manager that reads no more while it is sent a lot does not block the agent's own tool."""
    manager, agent = lab.connected()
    manager.behave("at.keepalive-1=deaf", "at.channel-open=deaf")
    manager.call("open", keys={"file_exch_cmd": "get_config"}, hold=True)
    assert agent.ctl("get", "system", "status").returncode == 0


def test_stray_and_unknown_messages(lab):
    """A reply nobody asked for is dropped; an unknown request is answered 404 or ignored; the session lives."""
    manager, agent = lab.connected()
    for name in ("stray-reply", "unknown-get"):
        manager.call("send_raw", hex=mischief.SAYINGS[name].hex())
    assert DEVICE_SERIAL in manager.get_config()
    poll(agent.process.alive, 1, "the agent")
