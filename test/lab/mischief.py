"""Bytes that a broken or hostile manager might send, each under a name.

FRAMES  in place of a good frame      (name -> function of that frame's bytes)
TEXTS   in place of a good text       (name -> function of the message, returning a body)
SAYINGS unasked, at a phase           (name -> bytes)
"""

import frame
from message import MAX_KEY, MAX_KEYS, MAX_TEXT, MAX_VALUE, Message

DIRECTIVES = "%s%n%x%p%1$s%999999999c"


def _with_length(length):
    return lambda good: frame.build(frame.MESSAGE, good[frame.HEADER.size:], length=length)


def _whole(kind, body, **bent):
    return frame.build(kind, body, **bent)


FRAMES = {
    "garbage": lambda good: bytes(range(255, 191, -1)),
    "http": lambda good: b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n",
    "magic": lambda good: b"\x63\x0e" + good[2:],
    "version": lambda good: good[:2] + b"\x12" + good[3:],
    "type": lambda good: good[:3] + b"\x02" + good[4:],
    "len-0": _with_length(0),
    "len-7": _with_length(7),
    "len-8": _with_length(8),
    "len-max": _with_length(0xFFFFFFFF),
    "len-oversize": _with_length(frame.MAX_LENGTH + 1),
    "oversize": lambda good: _whole(frame.MESSAGE, b"a" * (frame.MAX_LENGTH - frame.HEADER.size + 1)),
    "short": lambda good: good[:5],
    "truncated": lambda good: good[:len(good) // 2],
    "empty-ip": lambda good: _whole(frame.IP_PACKET, b"\0"),
}


def _text(lines, end="\r\n\r\n\0"):
    return "\r\n".join(lines).encode("latin-1") + end.encode("latin-1")


def _lines(message):
    return message.text().split("\r\n")[:-2]


def _more(*extra):
    return lambda message: _text(_lines(message) + list(extra))


def _many_keys(message):
    lines = _lines(message)
    wanted = MAX_KEYS + 1 - (len(lines) - 1)
    return _text(lines + [f"filler{i}=x" for i in range(wanted)])


def _long_text(message):
    lines = _lines(message)
    filler = [f"pad{i}=" + "y" * (MAX_VALUE - 100) for i in range(MAX_TEXT // (MAX_VALUE - 100) + 1)]
    return _text(lines + filler)


def _directives(message):
    bent = [f"{line.partition('=')[0]}={DIRECTIVES}" for line in _lines(message)[1:]
            if not line.startswith(("request=", "serialno="))]
    return _text([_lines(message)[0]] + [l for l in _lines(message)[1:]
                                         if l.startswith(("request=", "serialno="))] + bent)


TEXTS = {
    "directives": _directives,
    "controls": _more("user=a\x01b"),
    "delete": _more("user=a\x7fb"),
    "escape": _more("user=\x1b[2J"),
    "nul": lambda message: _text(_lines(message)[:2]).rstrip(b"\0\r\n") + b"\0middle\r\n\r\n\0",
    "keys-129": _many_keys,
    "key-65": _more("k" * (MAX_KEY + 1) + "=x"),
    "key-upper": _more("Serial=x"),
    "key-empty": _more("=x"),
    "value-4097": _more("user=" + "v" * (MAX_VALUE + 1)),
    "text-long": _long_text,
    "repeat": lambda message: _text(_lines(message) + ["serialno=FMG-VM9999999999", "ip=203.0.113.9"]),
    "no-equals": _more("user"),
    "equals-in-value": _more("user=a=b=c"),
    "no-blank": lambda message: _text(_lines(message), "\r\n\0"),
    "no-nul": lambda message: _text(_lines(message), "\r\n\r\n"),
    "bare-lf": lambda message: message.body().replace(b"\r\n", b"\n"),
    "no-verb": lambda message: b"\r\n\r\n\0",
    "only-nul": lambda message: b"\0",
    "trailing": lambda message: message.body() + b"trailing bytes",
    "unknown-keys": _more("colour=blue", "x-y_z=1"),
}


def _hex(text):
    return bytes.fromhex(text[len("hex:"):])


def frame_maker(name):
    """A function that turns a good frame into the bad bytes of that name."""
    if name.startswith("hex:"):
        raw = _hex(name)
        return lambda good: raw
    return _lookup(FRAMES, name)


def text_maker(name):
    """A function that turns a Message into the bad body of that name."""
    if name.startswith("hex:"):
        raw = _hex(name)
        return lambda message: raw
    return _lookup(TEXTS, name)


def _lookup(table, name):
    if name not in table:
        raise ValueError(f"no such name {name!r}; known: {', '.join(sorted(table))}")
    return table[name]


def _say(verb, argument="", data=b"", **keys):
    return frame.build(frame.MESSAGE, Message(verb, argument, keys, data).body())


SAYINGS = {
    "auth-reply": _say("reply", "200", request="auth", serialno="FMG-VM0000000001", keepalive_interval="120",
                       chan_window_sz="32768", sock_timeout="360"),
    "ip-reply": _say("reply", "200", overwrite_fmgid="1", request="ip", ip="169.254.0.2", mgmtid="247331677",
                     register_status="1", fmg_ip="192.168.48.46"),
    "keepalive": _say("keepalive"),
    "keepalive-reply": _say("reply", "200", request="keepalive"),
    "get-config": _say("get", "file_exchange", file_exch_cmd="get_config", localid="1", chan_window_sz="32768"),
    "put-config": _say("get", "file_exchange", file_exch_cmd="put_config", install_id="early", localid="1",
                       chan_window_sz="32768", rollback_allow_reboot="0", force="0"),
    "connect-tcp": _say("get", "connect_tcp", tcp_port="22", localid="1", chan_window_sz="32768"),
    "shell": _say("get", "connect_tcp", tcp_port="22", cmd="/bin/sh", terminal="vt100", localid="1",
                  chan_window_sz="32768"),
    "channel": _say("channel", remoteid="1", data=b"5\nhello0\n"),
    "ip-packet": frame.build(frame.IP_PACKET, bytes.fromhex(
        "4500001c00010000400100000a0000010a000002" "0800f7fe00010000")),
    "unknown-verb": _say("please", "stop", request="now"),
    "unknown-get": _say("get", "coffee", localid="7"),
    "stray-reply": _say("reply", "200", request="coffee"),
}
