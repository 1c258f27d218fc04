"""Everything the tests expect of the agent's words and JSON keys, in one place.

Where the documents give a text it stands here as they give it; where they leave it free the pattern is as
loose as it can be without becoming empty, and the finders try the likely key names. Adjust here, not in
the tests.
"""

import json
import pathlib
import re

# `Connection status` and `Registration status` of central-mgmt-status
UP, HANDSHAKE, DOWN = "Up", "Handshake", "Down"
REGISTERED, UNREGISTERED = "Registered", "Unregistered"

# install states
IDLE, JOURNALED, APPLYING, TESTING = "IDLE", "JOURNALED", "APPLYING", "TESTING"
COMMITTING, REVERTING, RETESTING, REBOOTING = "COMMITTING", "REVERTING", "RETESTING", "REBOOTING"

# event log ids
EVENT_UP, EVENT_DOWN = r"logid=\"?0100053400", r"logid=\"?0100053401"

# log lines: name -> pattern
LOG = {
    "not in list": r"connection denied; sn {sn} is not in the current list",
    "not named": r"sn \S+ is not one of the \d+ configured serial numbers",
    "list full": r"trusted list full \(10\)",
    "renewal": r"its key is new, its issuer the same",
    "serial differs": r"serial number: failed",
    "expired": r"expired on \S+",
    "not yet valid": r"not valid before \S+",
    "wrong ca": r"issued by .*, not by a CA in",
    "revoked": r"revoked by ",
    "other issuer": r"is in the list with issuer key \S+, the certificate's issuer key is",
    "not a manager": r"serial FGVM010000000099 is not a manager's",
    "purpose": r"its extendedKeyUsage lacks serverAuth",
    "tls version": r"no TLS version from 1\.2 on|no cipher suite in common .* or no TLS 1\.2|a TLS version below 1\.2",
    "key repeated": r"repeated keys in reply 200: \d+, first serialno",
    "clamped": r"(?i)clamp|out of range|expected, got .* is used",
    "security event": r"Manager asked for local access.*asked=\"?a shell",
    "debug lines of the guide": r"FGFMs: Set managment id {mgmtid} OK\.",
    "reboot": r"(?i)reboot",
    "reload": r"fgfm agent reloaded its files",
    "restored line": r"restored(?: in memory)?: -?\d+: \S",
}


def log(name, **values):
    """The pattern for a log line."""
    return LOG[name].format(**values) if values else LOG[name]


def frame_refusal(field):
    """The one line about a bad frame header: field, what was expected, what came."""
    return rf"(?i)\b{field}\b.*\bexpected\b.*\b(got|came)\b"


def command_log(code, command):
    """A line of `diagnose debug cli 8`."""
    return rf"(?m)(^|\s){re.escape(str(code))}: {re.escape(command)}\s*$"


def command_fail(code):
    """What fgfmctl prints on stderr for a failed command."""
    return f"Command fail. Return code {code}"


def search(pattern, text):
    return re.search(pattern, text)


# JSON

def _plain(name):
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def find(document, *names):
    """The value of the first of these keys, at any depth; case, '-' and '_' do not matter."""
    for name in names:
        for key, value in _pairs(document):
            if _plain(key) == _plain(name):
                return value
    return None


def _pairs(document):
    if isinstance(document, dict):
        yield from document.items()
        for value in document.values():
            yield from _pairs(value)
    elif isinstance(document, list):
        for value in document:
            yield from _pairs(value)


def connection(status):
    return find(status, "connection_status", "connection")


def registration(status):
    return find(status, "registration_status", "registration")


def reason_down(status):
    return str(find(status, "reason", "why", "down_reason", "last_error") or "")


def tunnel_address(status):
    return str(find(status, "tunnel_address", "tunnel_ip") or "").partition("/")[0]


def install_state(document):
    """State of the install as in the state table; IDLE if there is none."""
    state = find(document, "state", "phase")
    return str(state).upper() if state else IDLE


def verdict(receipt):
    return find(receipt, "verdict", "result")


def cause(receipt):
    return str(find(receipt, "cause", "reason") or "")


def install_id(receipt):
    return find(receipt, "install_id", "id")


def counters(document):
    """Every number under a key that speaks of drops, by its path: {'drops.bad-source': 3}."""
    return {path: value for path, value in _numbers(document, "") if "drop" in path.lower()}


def _numbers(document, path):
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _numbers(value, f"{path}.{key}" if path else str(key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from _numbers(value, f"{path}.{index}")
    elif isinstance(document, int) and not isinstance(document, bool):
        yield path, document


def drop_reasons(before, after):
    """The drop counters that went up, without totals."""
    up = {k for k, v in counters(after).items() if v > counters(before).get(k, 0)}
    return {k for k in up if not k.lower().endswith("total")}


def trusted_serials(path):
    """Serials of the trusted list, in the file's order; an empty list if there is no file."""
    path = pathlib.Path(path)
    if not path.exists():
        return []
    return [value for key, value in _pairs(json.loads(path.read_text())) if _plain(key) in ("serial", "serialno", "sn")]


# texts

def labelled(text):
    """{'Connection status': 'Up'} out of lines of the form `Label: value`."""
    return {k.strip(): v.strip() for k, v in re.findall(r"(?m)^\s*([^:\n]+):[ \t]*(.*)$", text)}


def checksums(text):
    """{'global': '7a 87 ...'} out of `get system mgmt-csum`."""
    return dict(re.findall(r"(?m)^(\S+): ((?:[0-9a-f]{2} ?){16})\s*$", text))


def error_lines(text):
    """FILE:LINE:COLUMN: text."""
    return re.findall(r"(?m)^(\S+?):(\d+):(\d+): (.+)$", text)
