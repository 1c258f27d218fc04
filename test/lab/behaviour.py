"""What the lab manager does when it is not simply well-behaved.

Every setting is one KEY=VALUE, given at start (`fmg serve --behaviour`) or at run time
(`fmg ctl SOCK behaviour`). Three families:

  plain settings       PLAIN below
  reply shaping        REPLY_KINDS x REPLY_SETTINGS, e.g. auth.code=403, ip.set.register_status=0
  actions at a phase   at.PHASE=ACTION[+ACTION...][*TIMES], e.g. at.get-auth=close*1
"""

import re

import mischief

ON = {"on", "yes", "true", "1", "enable"}
OFF = {"off", "no", "false", "0", "disable"}


class BehaviourError(ValueError):
    """A setting that does not exist or has a wrong value."""


def _switch(text):
    if text in ON:
        return True
    if text in OFF:
        return False
    raise BehaviourError(f"on or off expected, not {text!r}")


def _names(text):
    return frozenset(name for name in text.split(",") if name)


def _choice(*words):
    def check(text):
        if text not in words:
            raise BehaviourError(f"one of {'|'.join(words)} expected, not {text!r}")
        return text
    return check


def _second_session(text):
    if text in ("allow", "close", "rst") or re.fullmatch(r"\d{3}", text):
        return text
    raise BehaviourError(f"allow, close, rst or a reply code expected, not {text!r}")


# name: (parser, default, help)
PLAIN = {
    "silence": (_switch, False, "send nothing at all any more, but read on and keep TCP open"),
    "ack": (_switch, True, "acknowledge what comes in on channels"),
    "keepalive_every": (float, 0.0, "own keep-alives every N seconds; 0 sends none"),
    "second_session": (_second_session, "allow",
                       "a further session of a device that has one: allow|close|rst|CODE of the auth reply"),
    "register_password": (str, "", "password that get dev_register has to carry; empty takes any"),
    "chunk": (int, 8192, "most bytes of one channel message"),
    "ack_timeout": (float, 5.0, "seconds after which a missing acknowledgement is a protocol error"),
    "trace_ip": (_switch, False, "an event for every IP packet of the agent"),
    "check_source": (_switch, True, "a packet of the agent from another than its tunnel address is an error"),
    "tls.min": (_choice("1.1", "1.2", "1.3"), "1.2", "lowest TLS version offered"),
    "tls.max": (_choice("1.1", "1.2", "1.3"), "1.3", "highest TLS version offered"),
    "tls.ciphers": (str, "", "OpenSSL cipher list for TLS 1.2 and below; empty for the default"),
    "tls.client_cert": (_choice("require", "none"), "require", "ask the device for its certificate"),
}

REPLY_KINDS = ("auth", "ip", "keepalive", "file_exchange", "dev_register")

REPLY_SETTINGS = {
    "answer": (_switch, True, "reply at all"),
    "code": (int, 0, "reply code; 0 for the one that fits"),
    "delay": (float, 0.0, "seconds before the reply"),
    "omit": (_names, frozenset(), "comma-separated keys to leave out"),
    "raw": (mischief.frame_maker, None, "bytes in place of the frame: hex:DIGITS or one of "
            + ", ".join(sorted(mischief.FRAMES))),
    "text": (mischief.text_maker, None, "spoil the message text: hex:DIGITS or one of "
             + ", ".join(sorted(mischief.TEXTS))),
}

PHASES = {
    "accept": "TCP connection accepted, nothing read",
    "client-hello": "first TLS bytes of the device seen",
    "handshake-done": "TLS established, nothing said",
    "get-auth": "get auth came",
    "auth-reply": "auth reply sent",
    "get-ip": "get ip came",
    "ip-reply": "ip reply sent",
    "keepalive-N": "the device's N-th keep-alive of this session came",
    "channel-open": "the device accepted a channel of ours",
    "stream-1-half": "half of an install's set stream sent",
    "stream-1": "set stream sent",
    "stream-2-half": "half of an install's unset stream sent",
    "stream-2": "unset stream sent",
    "result-line-N": "N-th result line of an install came",
    "script-line-N": "N-th line of a script's output came",
    "results-done": "as many result lines came as the set script has commands",
    "receipt": "a receipt came whole, not yet acknowledged",
}

ACTIONS = {
    "close": "TLS close and TCP FIN",
    "fin": "TCP FIN without a TLS close",
    "rst": "TCP reset",
    "stall": "half-open: say nothing more, read on",
    "deaf": "half-open: neither say nor read anything more",
    "say:NAME": "send a named frame, see `fmg behaviours`",
    "hex:DIGITS": "send raw bytes inside TLS",
}

_PHASE = re.compile(r"(?:%s)\Z" % "|".join(re.escape(p).replace(r"\-N", r"-\d+") for p in PHASES))
_ACTION = re.compile(r"(?:close|fin|rst|stall|deaf|say:[a-z0-9-]+|hex:[0-9a-fA-F]*)\Z")


class ReplyShape:
    """How one kind of reply is bent."""

    def __init__(self):
        self.set = {}
        for name, (_, default, _help) in REPLY_SETTINGS.items():
            setattr(self, name, default)

    def shape(self, code, keys):
        """Apply code, omit and set; return (code, pairs)."""
        pairs = [(k, self.set.get(k, v)) for k, v in keys if k not in self.omit]
        present = {k for k, _ in pairs}
        pairs += [(k, v) for k, v in self.set.items() if k not in present and k not in self.omit]
        return self.code or code, pairs


class Behaviour:
    """All settings of one manager."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.given = {}
        self._plain = {name: default for name, (_, default, _h) in PLAIN.items()}
        self._replies = {kind: ReplyShape() for kind in REPLY_KINDS}
        self._at = {}
        self.keepalive_keys = {}

    def __getitem__(self, name):
        return self._plain[name]

    def reply(self, kind):
        return self._replies[kind]

    def set(self, key, value):
        """Apply one setting; raises BehaviourError."""
        try:
            self._set(key, str(value))
        except BehaviourError as error:
            raise BehaviourError(f"{key}: {error}") from None
        except ValueError as error:
            raise BehaviourError(f"{key}: bad value {value!r} ({error})") from None
        self.given[key] = str(value)

    def _set(self, key, value):
        head, _, rest = key.partition(".")
        if key in PLAIN:
            self._plain[key] = PLAIN[key][0](value)
        elif head == "at" and _PHASE.match(rest):
            self._at[rest] = _parse_at(value)
        elif key.startswith("keepalive.send."):
            self.keepalive_keys[key[len("keepalive.send."):]] = unescape(value)
        elif head in REPLY_KINDS:
            self._set_reply(self._replies[head], rest, value)
        else:
            raise BehaviourError("no such setting; see `fmg behaviours`")

    @staticmethod
    def _set_reply(shape, rest, value):
        if rest.startswith("set."):
            shape.set[rest[len("set."):]] = unescape(value)
        elif rest in REPLY_SETTINGS:
            setattr(shape, rest, REPLY_SETTINGS[rest][0](value))
        else:
            raise BehaviourError("no such setting; see `fmg behaviours`")

    def clear(self, key):
        """Put one setting back to its default."""
        kept = {k: v for k, v in self.given.items() if k != key}
        if len(kept) == len(self.given):
            raise BehaviourError(f"{key} is not set")
        self.reset()
        for name, value in kept.items():
            self.set(name, value)

    def take(self, phase):
        """The actions for a phase that is reached now; counts down `*TIMES`."""
        actions, left = self._at.get(phase, ((), None))
        if left is None:
            return actions
        if left == 0:
            return ()
        self._at[phase] = (actions, left - 1)
        return actions


def _parse_at(text):
    actions, star, times = text.partition("*")
    parts = tuple(part for part in actions.split("+") if part)
    for part in parts:
        if not _ACTION.match(part):
            raise BehaviourError(f"no such action {part!r}")
        if part.startswith("hex:"):
            bytes.fromhex(part[4:])
        if part.startswith("say:") and part[4:] not in mischief.SAYINGS:
            raise BehaviourError(f"nothing to say under the name {part[4:]!r}")
    return parts, (int(times) if star else None)


def unescape(text):
    r"""Turn \xHH, \n, \t, \\ of a command line into the bytes they stand for."""
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in text else text


def describe():
    """The whole table as text, for `fmg behaviours`."""
    rows = ["Plain settings:"]
    rows += [f"  {name}={_shown(default)}\n      {text}" for name, (_, default, text) in PLAIN.items()]
    rows += ["", f"Replies, KIND one of {', '.join(REPLY_KINDS)}:"]
    rows += [f"  KIND.{name}\n      {text}" for name, (_, _d, text) in REPLY_SETTINGS.items()]
    rows += ["  KIND.set.NAME=VALUE\n      give a key this value (\\xHH, \\n, \\t are understood)",
             "  keepalive.send.NAME=VALUE\n      a key of the manager's own keep-alives",
             "", "Phases, at.PHASE=ACTION[+ACTION...][*TIMES]:"]
    rows += [f"  at.{name}\n      {text}" for name, text in PHASES.items()]
    rows += ["", "Actions:"] + [f"  {name}\n      {text}" for name, text in ACTIONS.items()]
    rows += ["", "Names for say: " + ", ".join(sorted(mischief.SAYINGS))]
    return "\n".join(rows)


def _shown(default):
    return {True: "on", False: "off"}.get(default, default) if isinstance(default, bool) else default
