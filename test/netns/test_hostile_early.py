"""What a manager may try that the device is not registered with: before it has said who it is, and after.

Each case is one line: name, attack, outcome (see hostile.py). After each of them everything is as it was before, and
nobody is trusted.
"""

import pytest

import hostile
from harness import Lab, ip_packet
from hostile import World, answers, ends, frame_ends, lives, message, refused, stays, turned_away
from test_hostile import (ACCEPTED_TEXTS, BAD_FRAMES, FEW, FLOOD, GET_CONFIG, INSTALL, JSON, KEEPALIVE, REFUSED_TEXTS, SCRIPT,
                          come_again, flood, open_with, raw, say)

import frame
import mischief


@pytest.fixture(scope="module")
def lab(pki):
    with Lab(pki) as made:
        yield made


@pytest.fixture(scope="module")
def world(lab):
    return World(lab, registered=False)


def bad_first_frame(field):
    return turned_away(f"{field}.*expected.*got")


def install(world):
    """A whole install, as a manager sends it."""
    world.manager.install("early", 'config system global\nset hostname "owned"\nend\n', "")
    assert world.manager.wait("install_refused", install_id="early", since=world.mark)["code"] == 401


def cut_reply(world):
    """Half of the reply, then the end of the connection."""
    world.come_again("auth.raw=truncated", "at.auth-reply=close")


def dripping_reply(world):
    """A reply whose bytes never become whole: the first few, and then nothing."""
    world.come_again("auth.raw=short")


BEFORE_AUTHENTICATION = [
    *((f"frame-{name}", come_again(f"auth.raw={name}"), bad_first_frame(field)) for name, field in BAD_FRAMES.items()),
    *((f"text-{name}", come_again(f"auth.text={name}"), turned_away("message|before authentication|reply"))
      for name in REFUSED_TEXTS),
    *((f"text-{name}", come_again(f"auth.text={name}"), lives) for name in ACCEPTED_TEXTS),
    *((f"say-{name}", come_again(f"at.handshake-done=say:{name}*1"), turned_away("before authentication"))
      for name in ("ip-reply", "get-config", "put-config", "connect-tcp", "shell", "channel", "keepalive",
                   "keepalive-reply", "ip-packet", "unknown-verb", "unknown-get", "stray-reply")),
    *((f"auth-code-{code}", come_again(f"auth.code={code}"), turned_away(f"answered get auth with {code}"))
      for code in (401, 403, 500, 999)),
    ("auth-code-99", come_again("auth.code=99"), turned_away("a code of three digits expected")),
    ("cut-reply", cut_reply, turned_away("ended|closed")),
    ("dripping-reply", dripping_reply, turned_away("no reply to a request within 60 seconds")),
    ("no-reply", come_again("auth.answer=off"), turned_away("no reply to a request within 60 seconds")),
    ("another-serial", come_again("auth.set.serialno=FMG-VM0000000002"), turned_away("authentication failed")),
    ("serial-of-a-device", come_again("auth.set.serialno=FGVM010000000001"), turned_away("authentication failed")),
    ("no-serial", come_again("auth.omit=serialno"), turned_away("authentication failed")),
    *((f"end-{how}-{phase}", come_again(f"at.{phase}={how}*1"), lives)
      for how in ("close", "fin", "rst") for phase in ("accept", "client-hello", "handshake-done", "get-auth", "get-ip")),
]

BEFORE_THE_ADDRESS = [
    *((f"ip-frame-{name}", come_again(f"ip.raw={name}"), ends(f"{field}.*expected.*got"))
      for name, field in (("magic", "magic"), ("len-max", "length"), ("type", "type"))),
    ("ip-code-500", come_again("ip.code=500"), ends("answered get ip with 500")),
    ("ip-no-reply", come_again("ip.answer=off"), ends("no reply to a request within 60 seconds")),
    ("ip-bad-address", come_again("ip.set.ip=127.0.0.1"), hostile.bad_address),
    ("requests-before-address", come_again("at.auth-reply=say:get-config+say:put-config+say:shell"), lives),
]

UNREGISTERED = [
    *((f"status-{number}", come_again(f"ip.set.register_status={value}"), lives)
      for number, value in enumerate(("0", "2", "01", "", "1 ", "yes", "4294967297"))),
    ("status-missing", come_again("ip.omit=register_status"), lives),
    ("install", install, stays),
    *((keys["file_exch_cmd"], open_with(keys), refused(401))
      for keys in (GET_CONFIG, {"file_exch_cmd": "get_config_diff"}, INSTALL, SCRIPT, JSON, {"file_exch_cmd": "coffee"})),
    ("port", open_with({"tcp_port": "22"}, request="connect_tcp"), refused(401)),
    ("shell", open_with({"tcp_port": "22", "cmd": "/bin/sh"}, request="connect_tcp"), refused(401)),
    ("unknown-request", raw(mischief.SAYINGS["unknown-get"]), answers(401)),
    ("unknown-verb", raw(mischief.SAYINGS["unknown-verb"]), answers(401)),
    *((f"channel-{number}", say("channel", **keys), stays)
      for number, keys in enumerate(({"remoteid": "1"}, {"remoteid": "1", "action": "ack", "ack": "5"},
                                     {"remoteid": "1", "action": "close"}, {"remoteid": "x"}, {}))),
    ("register-reply-unasked", say("reply", "200", request="dev_register"), stays),
    ("auth-reply-again", raw(mischief.SAYINGS["auth-reply"]), stays),
    ("file-reply-unasked", say("reply", "200", request="file_exchange", remoteid="1", localid="1"), stays),
    ("packet", raw(frame.build(frame.IP_PACKET, ip_packet("192.168.48.46", "169.254.0.2"))), stays),
    ("tunnel-address-alone", say("reply", "200", request="ip", ip="169.254.0.2", fmg_ip="192.168.48.46"), stays),
    ("newer-versions", say("keepalive", avdb="99.00000", ipsdb="99.00000"), stays),
    *((f"frame-{name}-live", raw(mischief.FRAMES[name](frame.build(frame.MESSAGE, KEEPALIVE))), frame_ends(field))
      for name, field in (("garbage", "magic"), ("oversize", "length"), ("len-0", "length"))),
    ("opens", flood(message("get", "file_exchange", **SCRIPT, localid="1")), answers(401, FLOOD)),
    ("packets", flood(frame.build(frame.IP_PACKET, ip_packet("192.168.48.46", "169.254.0.2")), FEW), stays),
    ("channels", flood(message("channel", "", b"x" * 50, remoteid="1"), FEW), stays),
]

CASES = [*BEFORE_AUTHENTICATION, *BEFORE_THE_ADDRESS, *UNREGISTERED]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_unregistered_manager(world, case):
    """The outcome of each attack; afterwards all is as before."""
    world.run(case)
