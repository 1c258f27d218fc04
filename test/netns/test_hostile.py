"""What a registered manager may try: it is trusted to manage the device, not to break it.

Each case is one line: name, attack, outcome (see hostile.py). After each of them everything is as it was before.
"""

import gzip
import json
import zlib

import pytest

import hostile
from harness import MANAGER_SERIAL, Lab, ip_packet
from hostile import (HOSTILE_VALUE, World, answers, closes, coded, ends, frame_ends, json_error, lives, message, prints,
                     refused, stays, turned_away)

import frame
import mischief

KEEPALIVE = b"keepalive\r\n\r\n\0"
GET_CONFIG = {"file_exch_cmd": "get_config"}
SCRIPT = {"file_exch_cmd": "put_script", "script_id": "hostile"}
INSTALL = {"file_exch_cmd": "put_config", "install_id": "hostile"}
JSON = {"file_exch_cmd": "put_json_cmd"}
GLOBAL = "/cli/global/system/global"
FLOOD, FEW = 10000, 2000

# the header field the agent has to name
BAD_FRAMES = {"garbage": "magic", "http": "magic", "magic": "magic", "version": "version", "type": "type",
              "len-0": "length", "len-7": "length", "len-8": "length", "len-max": "length",
              "len-oversize": "length", "oversize": "length"}
REFUSED_TEXTS = ["controls", "delete", "escape", "nul", "bare-lf", "keys-129", "key-65", "key-upper", "key-empty",
                 "value-4097", "text-long", "no-equals", "no-nul", "no-verb", "only-nul", "trailing"]
ACCEPTED_TEXTS = ["no-blank", "equals-in-value", "unknown-keys", "repeat", "directives"]


@pytest.fixture(scope="module")
def lab(pki):
    with Lab(pki) as made:
        yield made


@pytest.fixture(scope="module")
def world(lab):
    return World(lab, registered=True)


# --- attacks --------------------------------------------------------------------------------------------------------

def raw(data):
    return lambda world: world.raw(data)


def say(verb, argument="", data=b"", **keys):
    return raw(message(verb, argument, data, **keys))


def flood(data, count=FLOOD):
    return raw(data * count)


def come_again(*behaviour):
    return lambda world: world.come_again(*behaviour)


def open_with(keys, streams=(), **options):
    return lambda world: world.open(keys, streams, **options)


def put(keys, wire, **options):
    """A channel with these bytes on it, as they are."""
    return lambda world: world.open(keys, raw=wire, **options)


def zipped(keys, member):
    """A channel on which gzip was announced, with these bytes as its stream."""
    return put({**keys, "deflate": "gzip"}, coded(member))


def on_channel(keys=None, data=b"", **more):
    """A `channel` message for a script's channel that is open."""
    def attack(world):
        world.manager.behave("ack=off")  # what the agent sends itself stays under way, and the channel open
        held = world.open(keys or SCRIPT, hold=True)
        world.raw(message("channel", "", data, remoteid=held["remote"], **more))
    return attack


def after_close(world):
    """Bytes, an acknowledgement and a close for a channel that is closed already."""
    held = world.open(SCRIPT, hold=True)
    for keys, data in (({"action": "close"}, b""), ({}, b"5\nlate\n0\n"), ({"action": "ack", "ack": "5"}, b""),
                       ({"action": "close"}, b"")):
        world.raw(message("channel", "", data, remoteid=held["remote"], **keys))


def ack_that_goes_back(world):
    """First all of it, then less."""
    world.manager.behave("ack=off")
    held = world.open(GET_CONFIG, hold=True)
    for ack in ("9", "3"):
        world.raw(message("channel", remoteid=held["remote"], action="ack", ack=ack))


def same_number_twice(world):
    opening = message("get", "file_exchange", **SCRIPT, localid="4000", chan_window_sz="32768")
    world.raw(opening * 2)


def half_a_frame(world):
    """The first half of a frame, and then nothing more."""
    world.manager.behave("keepalive_every=0")
    world.raw(frame.build(frame.MESSAGE, KEEPALIVE)[:11])


def slow_stream(world):
    """A script that comes byte by byte."""
    held = world.open(SCRIPT, hold=True)
    world.drip(message("channel", "", b"18\nget system status\n0\n", remoteid=held["remote"]))


def standstill(world):
    """A channel that is opened and never used."""
    world.open(SCRIPT, hold=True)


def deaf_flood(world):
    """Many more requests than answers are taken of."""
    world.manager.behave("at.channel-open=deaf")
    unanswered = message("get", "coffee" + "e" * 50)
    world.open(GET_CONFIG, hold=True)
    world.raw(unanswered * 2 * FLOOD)
    before = world.memory()[1]
    world.wait_log("nothing heard from the manager")
    assert world.memory()[1] < before + 4096, "what waits to be sent is bounded"
    world.manager.call("drop", session=world.session)


def rude_end(how):
    """All channels in use, and the connection goes."""
    def attack(world):
        for _ in range(16):
            world.open(SCRIPT, hold=True)
        world.manager.call("drop", how=how, session=world.session)
    return attack


def ask(method, url, **more):
    return open_with(JSON, [json.dumps({"method": method, "params": [{"url": url, **more}]})])


def text(words):
    return open_with(JSON, [words])


def script(words):
    return open_with(SCRIPT, [words])


def sixteen_bombs(world):
    """As many as there are channels, one after the other."""
    for _ in range(16):
        back = world.open({**SCRIPT, "deflate": "gzip"}, ["#" * 1_000_000])
        assert back["code"] == "413"


def member(data, level=9):
    return gzip.compress(data, level)


BOMB = member(b"\n" * 20_000_000)


# --- the cases ------------------------------------------------------------------------------------------------------

FRAMES = [
    *((f"frame-{name}", raw(mischief.FRAMES[name](frame.build(frame.MESSAGE, KEEPALIVE))), frame_ends(field))
      for name, field in BAD_FRAMES.items()),
    *((f"text-{name}", raw(frame.build(frame.MESSAGE, mischief.text_maker(name)(
        hostile.Message("keepalive", "", {"os_ver": "0", "serialno": MANAGER_SERIAL})))), ends('reason="message'))
      for name in REFUSED_TEXTS),
    *((f"auth-text-{name}", come_again(f"auth.text={name}"), lives) for name in ACCEPTED_TEXTS),
    ("keys-128", say("keepalive", **{f"k{n}": "x" for n in range(128)}), stays),
    ("value-4096", say("keepalive", os_ver="v" * 4096), stays),
    ("largest-frame", on_channel(SCRIPT, b"x" * (frame.MAX_LENGTH - frame.HEADER.size - 40)), closes(413)),
    ("drip-of-a-frame", lambda world: world.drip(frame.build(frame.MESSAGE, KEEPALIVE)), stays),
    ("half-a-frame", half_a_frame, ends(f"nothing heard from the manager for {hostile.SOCK_TIMEOUT_S} seconds", 20)),
]

ORDER = [
    ("auth-reply-again", raw(mischief.SAYINGS["auth-reply"]), stays),
    ("register-reply-unasked", say("reply", "200", request="dev_register"), stays),
    ("keepalive-reply-unasked", flood(mischief.SAYINGS["keepalive-reply"], 3), stays),
    ("tcp-reply-unasked", say("reply", "200", request="connect_tcp", remoteid="1", localid="1"), stays),
    ("file-reply-unasked", say("reply", "200", request="file_exchange", remoteid="1", localid="1"), stays),
    ("file-refusal-unasked", say("reply", "500", request="file_exchange", remoteid="1"), stays),
    ("stray-reply", raw(mischief.SAYINGS["stray-reply"]), stays),
    ("ip-refused-late", say("reply", "403", request="ip", reason="no"), stays),
    ("reply-without-request", say("reply", "200"), stays),
    *((f"reply-code-{code or 'none'}", say("reply", code, request="keepalive"), ends("a code of three digits expected"))
      for code in ("", "0", "99", "1000", "abc", "18446744073709551816", "-200")),
    ("get-auth-of-us", say("get", "auth", serialno=MANAGER_SERIAL), answers(404, request="auth")),
    ("get-ip-of-us", say("get", "ip"), answers(404, request="ip")),
    ("get-dev-register-of-us", say("get", "dev_register"), answers(404, request="dev_register")),
    ("get-nothing", say("get"), answers(404, request="get")),
    ("unknown-verb", raw(mischief.SAYINGS["unknown-verb"]), answers(404, request="stop")),
    ("channel-before-any", raw(mischief.SAYINGS["channel"]), stays),
    ("ack-before-any", say("channel", remoteid="1", action="ack", ack="1"), stays),
    ("close-before-any", say("channel", remoteid="1", action="close"), stays),
    ("after-close", after_close, stays),
    ("stranger-serial", come_again("auth.set.serialno=FMG-VM0000000002"), turned_away("authentication failed")),
    ("empty-serial", come_again("auth.set.serialno="), turned_away("authentication failed")),
    ("no-serial", come_again("auth.omit=serialno"), turned_away("authentication failed")),
    ("ip-before-auth", come_again("at.handshake-done=say:ip-reply*1"), turned_away("before authentication")),
    ("install-before-auth", come_again("at.handshake-done=say:put-config*1"), turned_away("before authentication")),
]

IDS = [
    *((f"channel-id-{value or 'empty'}", say("channel", data=b"2\nhi0\n", remoteid=value),
       ends("remoteid= is not a channel number")) for value in ("", "abc", "-1", "+1", " 1", "1x", "4294967296", "9" * 40)),
    ("channel-id-missing", say("channel", data=b"2\nhi0\n"), ends("remoteid= is not a channel number")),
    *((f"channel-id-{value}", say("channel", data=b"2\nhi0\n", remoteid=value), stays) for value in ("0", "4294967295")),
    *((f"local-id-{value or 'empty'}", say("get", "file_exchange", **GET_CONFIG, localid=value),
       answers(400, request="file_exchange")) for value in ("", "abc", "-1", "4294967296")),
    ("local-id-missing", say("get", "file_exchange", **GET_CONFIG), answers(400)),
    ("local-id-twice", same_number_twice, answers(409)),
    *((f"window-{value or 'empty'}", say("get", "file_exchange", **GET_CONFIG, localid="4001", chan_window_sz=value),
       answers(400)) for value in ("", "0", "-1", "abc", "18446744073709551616")),
    ("window-of-4-GB", say("get", "file_exchange", **GET_CONFIG, localid="4002", chan_window_sz="4294967295"),
     answers(200, request="file_exchange")),
    ("window-of-1", say("get", "file_exchange", **GET_CONFIG, localid="4003", chan_window_sz="1"),
     answers(200, request="file_exchange")),
    *((f"install-id-{number}", open_with({**INSTALL, "install_id": value}), refused(400))
      for number, value in enumerate(("", "x" * 65, "../../etc/passwd", "a b", "%n%n", "a/b", "\xff"))),
    *((f"script-id-{number}", open_with({**SCRIPT, "script_id": value}), refused(400))
      for number, value in enumerate(("", "x" * 49, "../x", "$(reboot)"))),
    ("reboot-2", open_with({**INSTALL, "rollback_allow_reboot": "2"}), refused(400)),
    ("force-yes", open_with({**INSTALL, "force": "yes"}), refused(400)),
    ("base-checksum-path", open_with({"file_exch_cmd": "get_config_diff", "checksum": "../../etc/passwd"}), refused(400)),
    ("base-checksum-unknown", open_with({"file_exch_cmd": "get_config_diff", "checksum": "00 " * 15 + "00"}),
     refused(404)),
    ("command-unknown", open_with({"file_exch_cmd": "coffee"}), refused(404)),
    ("command-missing", open_with({}), refused(404)),
    ("command-of-the-agent", open_with({"file_exch_cmd": "put_install_result", "install_id": "x"}), refused(404)),
    ("coding-unknown", open_with({**GET_CONFIG, "deflate": "brotli"}), refused(400)),
    ("request-unknown", open_with({}, request="coffee"), refused(404)),
]

WINDOWS = [
    ("overrun", lambda world: (world.manager.behave("chunk=66000"),
                               world.open(INSTALL, ["# padding\n" * 20000], fault="overrun"))[1], closes(413)),
    ("overrun-by-one", on_channel(SCRIPT, b"32766\n" + b"#" * 32763), closes(413)),
    ("overrun-where-nothing-is-expected", on_channel(GET_CONFIG, b"x" * 40000), closes(413)),
    ("data-where-nothing-is-expected", on_channel(GET_CONFIG, b"5\nhello0\n"), closes(400)),
    ("no-data", on_channel(SCRIPT, b""), stays),
    ("ack-of-more", on_channel(SCRIPT, action="ack", ack="1"), closes(400)),
    ("ack-of-2-64", on_channel(SCRIPT, action="ack", ack="18446744073709551616"), closes(400)),
    ("ack-negative", on_channel(SCRIPT, action="ack", ack="-1"), closes(400)),
    ("ack-of-nothing", on_channel(SCRIPT, action="ack"), closes(400)),
    ("ack-goes-back", ack_that_goes_back, closes(400)),
    ("action-unknown", on_channel(SCRIPT, action="reopen"), closes(400)),
    ("standstill", standstill, closes(500, "no progress")),
]

STREAMS = [
    *((f"stream-{fault}", open_with(keys, ["get sys status\n"], fault=fault), closes(400))
      for fault, keys in (("bad-length", INSTALL), ("huge-length", SCRIPT), ("negative-length", JSON),
                          ("empty-length", INSTALL))),
    ("stream-of-4-GB", put(SCRIPT, "4294967295\nabc"), closes(400)),
    ("stream-of-99-MB", on_channel(SCRIPT, b"99999999\nabc"), stays),
    ("stream-length-endless", put(SCRIPT, "0" * 20000), closes(400)),
    ("stream-of-single-bytes", put(SCRIPT, "1\n#" * 5000 + "0\n"), prints("result=")),
    ("stream-drips", slow_stream, answers(200, request="file_exchange")),
    ("script-endless", open_with(SCRIPT, ["# nothing at all\n" * 600_000]), closes(413)),
    ("install-endless", open_with(INSTALL, ["# nothing at all\n" * 600_000]), closes(413)),
    ("json-endless", open_with(JSON, [" " * (1024 * 1024 + 1)]), closes(413)),
    ("script-and-more", put(SCRIPT, coded(b"get system status\n", b"get system status\n"), expect=2), closes(400)),
    ("json-and-more", put(JSON, coded(b"{}", b"{}"), expect=2), closes(400)),
    ("install-and-more", put(INSTALL, coded(b"flurb\n", b"", b"x"), expect=2), closes(400)),
    ("ends-without-end", put(GET_CONFIG, "0\n" * 10000), stays),
    ("nul-in-a-script", put(SCRIPT, coded(b"get system\0status\n")), prints("result=refused")),
    ("closed-in-the-middle", on_channel(SCRIPT, b"5\nget s"), stays),
]

GZIP = [
    ("bomb-script", zipped(SCRIPT, BOMB), closes(413)),
    ("bomb-install", zipped(INSTALL, BOMB), closes(413)),
    ("bomb-json", zipped(JSON, BOMB), closes(413)),
    ("bomb-of-bombs", zipped(SCRIPT, member(BOMB)), closes(413)),
    ("bombs-in-a-row", sixteen_bombs, stays),
    ("gzip-plain", put({**SCRIPT, "deflate": "gzip"}, coded(b"get system status\n")), closes(400)),
    ("gzip-zlib", zipped(SCRIPT, zlib.compress(b"get system status\n")), closes(400)),
    ("gzip-truncated", zipped(SCRIPT, member(b"get system status\n")[:-9]), closes(400)),
    ("gzip-header-only", zipped(SCRIPT, member(b"")[:10]), closes(400)),
    ("gzip-bad-sum", zipped(SCRIPT, member(b"get system status\n")[:-8] + b"\0" * 8), closes(400)),
    ("gzip-trailing", zipped(SCRIPT, member(b"get system status\n") + b"more"), closes(400)),
    ("gzip-two-members", zipped(SCRIPT, member(b"#\n") * 2), closes(400)),
    ("gzip-bad-block", zipped(SCRIPT, member(b"")[:10] + b"\xff" * 100), closes(400)),
    ("gzip-endless-name", zipped(SCRIPT, b"\x1f\x8b\x08\x08" + b"\0" * 6 + b"n" * 50000), closes(400)),
    ("gzip-endless-extra", zipped(SCRIPT, b"\x1f\x8b\x08\x04" + b"\0" * 6 + b"\xff\xff" + b"e" * 40000), closes(400)),
    ("gzip-empty", zipped(SCRIPT, b""), prints("result=")),
]

JSON_CASES = [
    ("json-empty", text(""), json_error(400)),
    ("json-array", text("[]"), json_error(400)),
    ("json-null", text("null"), json_error(400)),
    ("json-32-deep", text('{"id":' + "[" * 33 + "]" * 33 + ',"method":"get","params":[{"url":"%s"}]}' % GLOBAL),
     json_error(400)),
    ("json-100000-deep", text("[" * 100_000), json_error(400)),
    ("json-1-MB-deep", text('{"a":' * 200_000), json_error(400)),
    ("json-method-twice", text('{"method":"get","method":"set","params":[{"url":"%s"}]}' % GLOBAL), json_error(400)),
    ("json-url-twice", text('{"method":"get","params":[{"url":"%s","url":"/x"}]}' % GLOBAL), json_error(400)),
    ("json-nul", text('{"method":"get","params":[{"url":"a\\u0000b"}]}'), json_error(400)),
    ("json-raw-nul", put(JSON, coded(b'{"method":"get\0","params":[{"url":"x"}]}')), json_error(400)),
    ("json-not-utf8", put(JSON, coded(b'{"method":"get","params":[{"url":"\xff\xfe"}]}')), json_error(400)),
    ("json-lone-surrogate", text('{"method":"get","params":[{"url":"\\ud800"}]}'), json_error(400)),
    ("json-trailing", text('{"method":"get","params":[{"url":"%s"}]} x' % GLOBAL), json_error(400)),
    ("json-cut", text('{"method":"get","params":[{"url":"'), json_error(400)),
    ("json-method-number", text('{"method":7,"params":[{"url":"%s"}]}' % GLOBAL), json_error(400)),
    ("json-101-params", text(json.dumps({"method": "get", "params": [{"url": GLOBAL}] * 101})), json_error(413)),
    ("json-huge-number", ask("set", GLOBAL, data={"admintimeout": 10 ** 400}), json_error(400)),
    ("json-negative", ask("set", GLOBAL, data={"admintimeout": -1}), json_error(-651)),
    ("json-fraction", ask("set", GLOBAL, data={"admintimeout": 5.5}), json_error(-651)),
    ("json-infinite", text('{"method":"set","params":[{"url":"%s","data":{"admintimeout":1e999}}]}' % GLOBAL),
     json_error(400)),
    ("json-huge-key", ask("set", GLOBAL, data={"k" * 500_000: "x"}), json_error(-61)),
    ("json-huge-value", ask("set", GLOBAL, data={"hostname": "h" * 500_000}), json_error(-1)),
    ("json-injection", ask("set", GLOBAL, data={'hostname" "x"\nend\nconfig system admin\nedit "y': "x"}),
     json_error(-61)),
    ("json-config-agent", ask("set", "/cli/global/agent", data={"apply-system": "disable"}), json_error(403)),
    ("json-trust-list", ask("delete", f"/cli/global/trust-list/{MANAGER_SERIAL}"), json_error(404)),
    ("json-path", ask("get", "/cli/global/../../etc/passwd"), json_error(404)),
    ("json-percent", ask("get", "/cli/global/system/interface/%zz"), json_error(400)),
    ("json-percent-nul", ask("get", "/cli/global/system/interface/%00"), json_error(400)),
    ("json-long-path", ask("get", "/cli/global/" + "a/" * 40000), json_error(400)),
    ("json-reboot", ask("exec", "/cli/global/execute/reboot"), json_error(403)),
    ("json-unregister", ask("exec", f"/cli/global/execute/central-mgmt/unregister-device/{MANAGER_SERIAL}"),
     json_error(403)),
    ("json-shell", ask("exec", "/cli/global/get/system/status;reboot"), json_error(403)),
]

SCRIPTS = [
    ("script-open-quote", script('config system global\nset hostname "open\nend\n'), prints("result=refused")),
    ("script-unbalanced", script("end\n"), prints("result=refused")),
    ("script-nested", script("config system global\n" * 2000), prints("result=refused")),
    ("script-long-line", script("get " + "x" * 1_000_000 + "\n"), prints("-61")),
    ("script-unknown-verb", script("reboot\n"), prints("result=refused")),
    ("script-controls", script("get system \x1b[2J\x07status\n"), prints("-61")),
    ("script-directives", script(f"get {HOSTILE_VALUE}\n"), prints("-61")),
    ("script-shell", script("get system status; touch /tmp/x\nget $(reboot)\nget `reboot`\nget | reboot\n"),
     prints("-61")),
    ("script-unknown-attribute", script("config system global\nset colour blue\nend\n"), prints("-61")),
    ("script-bad-value", script("config system global\nset admintimeout never\nend\n"), prints("result=")),
    ("script-config-agent", script("config agent\nset apply-system disable\nend\n"), prints("-61")),
    ("script-reboot", script("execute reboot\n"), prints("-37")),
    ("script-unregister", script(f"execute central-mgmt unregister-device {MANAGER_SERIAL}\n"), prints("-37")),
    ("script-register", script("execute central-mgmt register-device FMG-VM0000000009 secret\n"), prints("-37")),
    ("script-confirm", script("execute fgfm install confirm\n"), prints("-37")),
    ("script-restore", script("execute restore config /etc/passwd\n"), prints("-37")),
    ("script-backup", script("execute backup config /tmp/x\n"), prints("-37")),
    ("script-revision", script("execute revision restore 1\n"), prints("-37")),
    ("script-debug", script("diagnose debug application fgfmd 255\n"), prints("-37")),
]

VALUES = [
    *((f"directives-{key}", come_again(f"{key}={HOSTILE_VALUE}"), lives)
      for key in ("auth.set.serialno", "auth.set.keepalive_interval", "auth.set.chan_window_sz", "auth.set.sock_timeout",
                  "auth.set.user", "auth.set.authip", "auth.set.reason", "ip.set.ip", "ip.set.mgmtid",
                  "ip.set.register_status", "ip.set.fmg_ip", "ip.set.overwrite_fmgid", "ip.set.reason")),
    *((f"directives-keepalive-{key}", say("keepalive", **{key: HOSTILE_VALUE}), stays)
      for key in ("avdb", "ipsdb", "os_ver")),
    *((f"ip-{number}", come_again(f"ip.set.ip={value}"), hostile.bad_address)
      for number, value in enumerate(("999.1.1.1", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::1", "ff02::1",
                                      "10.0.0.1/8", "1" * 300))),
    ("manager-ip-loopback", come_again("ip.set.fmg_ip=127.0.0.1"), hostile.bad_address),
    ("mgmtid-path", come_again("ip.set.mgmtid=../../etc/passwd"), hostile.bad_address),
    ("mgmtid-long", come_again("ip.set.mgmtid=" + "1" * 4000), hostile.bad_address),
]

PORTS = [
    *((f"port-{port or 'none'}", open_with({"tcp_port": port}, request="connect_tcp"), refused(403))
      for port in ("22", "0", "541", "65536", "-1", "")),
    ("shell", open_with({"tcp_port": "22", "cmd": "/bin/sh"}, request="connect_tcp"), refused(403)),
    ("terminal", open_with({"tcp_port": "22", "terminal": "vt100"}, request="connect_tcp"), refused(403)),
    ("shell-without-port", open_with({"cmd": "id", "terminal": "vt100"}, request="connect_tcp"), refused(403)),
]

PACKETS = [
    ("packet-empty", raw(mischief.FRAMES["empty-ip"](b"")), stays),
    ("packet-version-0", raw(frame.build(frame.IP_PACKET, b"\0" * 40)), stays),
    ("packet-short", raw(frame.build(frame.IP_PACKET, ip_packet("192.168.48.46", "169.254.0.2", length=1000))), stays),
    ("packet-long", raw(frame.build(frame.IP_PACKET, ip_packet("192.168.48.46", "169.254.0.2", length=20) + b"more")),
     stays),
    ("packet-elsewhere", raw(frame.build(frame.IP_PACKET, ip_packet("192.168.48.46", "192.168.48.1"))), stays),
    ("packet-flood", flood(frame.build(frame.IP_PACKET, ip_packet("10.9.9.9", "192.168.48.1"))), stays),
]

FLOODS = [
    ("opens", flood(b"".join(message("get", "file_exchange", **SCRIPT, localid=str(n)) for n in range(5000, 6000)), 10),
     answers(409, FLOOD - 16)),
    ("opens-refused", flood(message("get", "connect_tcp", tcp_port="22", localid="1"), FEW), answers(403, FEW)),
    ("opens-of-bad-number", flood(message("get", "file_exchange", **GET_CONFIG, localid="x"), FEW), answers(400, FEW)),
    ("unknown-requests", flood(mischief.SAYINGS["unknown-get"], FEW), answers(404, FEW)),
    ("stray-replies", flood(mischief.SAYINGS["stray-reply"], FEW), stays),
    ("ip-updates", flood(mischief.SAYINGS["ip-reply"], 1000), stays),
    ("channel-strays", flood(message("channel", "", b"x" * 50, remoteid="77777"), FEW), stays),
    ("keepalives", flood(frame.build(frame.MESSAGE, KEEPALIVE), FEW), lives),
    ("repeated-keys", flood(frame.build(frame.MESSAGE, b"please x\r\n" + b"a=1\r\n" * 1000 + b"\r\n\0"), 100),
     answers(404, 100)),
    ("deaf", deaf_flood, lives),
    *((f"sixteen-and-{how}", rude_end(how), lives) for how in ("close", "fin", "rst")),
]

CASES = [*FRAMES, *ORDER, *IDS, *WINDOWS, *STREAMS, *GZIP, *JSON_CASES, *SCRIPTS, *VALUES, *PORTS, *PACKETS, *FLOODS]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_registered_manager(world, case):
    """The outcome of each attack; afterwards all is as before."""
    world.run(case)
