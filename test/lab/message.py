"""FGFM messages: `verb [argument]`, key=value lines, an empty line, a NUL and (for `channel`) raw bytes.

parse() separates two kinds of trouble. A body that cannot be read at all raises MessageError. A body that
can be read but is not in the form the agent has to send comes back together with a list of deviations,
so that one run shows all of them.
"""

import re

MAX_TEXT = 16384
MAX_KEYS = 128
MAX_KEY = 64
MAX_VALUE = 4096

REPLY_CODES = {200, 400, 401, 403, 404, 409, 413, 500}

IDENTITY_KEYS = (
    "serialno platform hostname mgmtid fos_ver minor patch build branch maxvdom fg_ip harddisk "
    "harddisk_size logdisk_size biover mgmt_mode enc_flags mgmtip mgmtport"
).split()
GET_IP_KEYS = IDENTITY_KEYS + "first_fmgid probe_mode vdom intf".split()
KEEPALIVE_KEYS = {"checksum", "os_ver", "platform", "avdb", "ipsdb", "uptime"}

_KEY = re.compile(r"[a-z0-9_-]{1,64}\Z")
_CHECKSUM = re.compile(r"[0-9a-f]{2}(?: [0-9a-f]{2}){15}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class MessageError(Exception):
    """A body that is no message."""


class Message:
    """One message. `keys` is an ordered list of pairs, for order and repeats matter to the judge."""

    def __init__(self, verb, argument="", keys=(), data=b""):
        self.verb = verb
        self.argument = argument
        self.keys = list(keys.items() if isinstance(keys, dict) else keys)
        self.data = data

    def get(self, key, default=None):
        """The first value of a key."""
        return next((value for name, value in self.keys if name == key), default)

    def names(self):
        return [name for name, _ in self.keys]

    @property
    def first_line(self):
        return f"{self.verb} {self.argument}" if self.argument else self.verb

    def text(self):
        """The text part, without its NUL."""
        lines = [self.first_line] + [f"{name}={value}" for name, value in self.keys] + [""]
        return "".join(line + "\r\n" for line in lines)

    def body(self):
        # latin-1 keeps any byte a test puts into a value as that byte
        return self.text().encode("latin-1", "replace") + b"\0" + self.data

    def as_dict(self):
        """For events; of a repeated key the first value, as everywhere."""
        return {"line": self.first_line, "keys": {name: self.get(name) for name in self.names()}}


def parse(body):
    """Return (Message, deviations)."""
    text, nul, data = body.partition(b"\0")
    if not nul:
        raise MessageError("no NUL after the text")
    problems = []
    if len(text) > MAX_TEXT:
        problems.append(f"text of {len(text)} bytes, at most {MAX_TEXT}")
    lines = _lines(text.decode("latin-1"), problems)
    verb, _, argument = lines[0].partition(" ")
    if not verb:
        raise MessageError("no verb")
    message = Message(verb, argument, [_pair(line, problems) for line in lines[1:]], data)
    if data and verb != "channel":
        problems.append(f"{len(data)} bytes after the NUL of a {verb} message")
    _check_keys(message, problems)
    return message, problems


def _lines(text, problems):
    if not text.endswith("\r\n"):
        raise MessageError("text does not end in CR LF")
    lines = text[:-2].split("\r\n")
    if lines[-1] == "" and len(lines) > 1:
        lines.pop()
    else:
        problems.append("no empty line before the NUL")
    for line in lines:
        if line == "":
            problems.append("empty line inside the message")
        if "\n" in line or "\r" in line:
            problems.append(f"bare CR or LF in {line[:60]!r}")
    return [line for line in lines if line] or [""]


def _pair(line, problems):
    name, equals, value = line.partition("=")
    if not equals:
        problems.append(f"line without '=': {line[:60]!r}")
    if not _KEY.match(name):
        problems.append(f"key {name[:80]!r} is not 1..64 of [a-z0-9_-]")
    if len(value) > MAX_VALUE:
        problems.append(f"value of {name} has {len(value)} bytes, at most {MAX_VALUE}")
    if _CONTROL.search(value):
        problems.append(f"control character in the value of {name}")
    return name, value


def _check_keys(message, problems):
    names = message.names()
    if len(names) > MAX_KEYS:
        problems.append(f"{len(names)} keys, at most {MAX_KEYS}")
    for name in sorted({n for n in names if names.count(n) > 1}):
        problems.append(f"key {name} repeated")


def order_problem(message, wanted):
    """Compare the keys of `get auth` or `get ip` with the order they must have."""
    names = message.names()
    if names == list(wanted):
        return None
    missing = [n for n in wanted if n not in names]
    extra = [n for n in names if n not in wanted]
    if missing or extra:
        return f"missing {missing or 'none'}, extra {extra or 'none'}"
    return f"wrong order: {' '.join(names)}"


def keepalive_problems(message):
    """What is wrong with a keep-alive of the agent."""
    problems = []
    checksum = message.get("checksum")
    if checksum is None or not _CHECKSUM.match(checksum):
        problems.append(f"checksum is not 16 hex octets with one space between: {checksum!r}")
    names = set(message.names())
    if names != KEEPALIVE_KEYS:
        problems.append(f"keys {sorted(names)}, expected {sorted(KEEPALIVE_KEYS)}")
    uptime = message.get("uptime", "0")
    if not uptime.isdigit():
        problems.append(f"uptime is not decimal: {uptime!r}")
    return problems


def reply_problems(message):
    """What is wrong with the form of a reply of the agent."""
    problems = []
    code = message.argument
    if not code.isdigit() or int(code) not in REPLY_CODES:
        problems.append(f"reply code {code!r} is not one of {sorted(REPLY_CODES)}")
    if not message.get("request"):
        problems.append("reply without request=")
    if code != "200" and not message.get("reason"):
        problems.append(f"reply {code} without reason=")
    return problems
