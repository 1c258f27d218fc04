"""The example handlers, spoken to as the agent does."""

import json
import subprocess

import pytest

from harness import ROOT
from netns import PYTHON

EXAMPLE = ROOT / "etc" / "handlers" / "system.ntp"

NTP = {"ntpsync": "enable", "type": "custom", "syncinterval": "60", "source-ip": "0.0.0.0", "source-ip6": "::",
       "server-mode": "disable", "interface": [], "ntpserver": []}
SERVER = {"id": "1", "server": "192.0.2.123", "ntpv3": "disable", "authentication": "disable", "key": "", "key-id": "0"}


@pytest.fixture
def ntp(tmp_path):
    """Tells a copy of the handler that writes into the test's folder; returns (answers, lines of the file)."""
    sources = tmp_path / "fgfmd.sources"
    copy = tmp_path / "system.ntp"
    copy.write_text(EXAMPLE.read_text().replace('"/etc/chrony/sources.d/fgfmd.sources"', repr(str(sources)))
                    .replace('"/usr/bin/chronyc"', repr(str(tmp_path / "chronyc"))))

    def tell(*entries):
        changes = [{"table": "system ntp", "operation": "change", "key": "", "old": None, "new": e} for e in entries]
        lines = "".join(json.dumps(change) + "\n" for change in changes)
        done = subprocess.run([PYTHON, copy], input=lines, capture_output=True, text=True, check=True, timeout=20)
        text = sources.read_text().splitlines()[1:] if sources.exists() else None
        return [json.loads(line) for line in done.stdout.splitlines()], text
    return tell


@pytest.mark.parametrize("change, want", [
    ({"ntpserver": [SERVER]}, ["server 192.0.2.123 iburst maxpoll 11"]),
    ({"ntpserver": [SERVER, {**SERVER, "id": "2", "server": "time.example.org", "ntpv3": "enable"}],
      "syncinterval": "1"},
     ["server 192.0.2.123 iburst maxpoll 5", "server time.example.org iburst maxpoll 5 version 3"]),
    ({"ntpserver": [SERVER], "syncinterval": "1440"}, ["server 192.0.2.123 iburst maxpoll 16"]),
    ({"ntpserver": [SERVER], "ntpsync": "disable"}, None),
    ({"ntpserver": []}, None)], ids=["one", "two", "seldom", "disabled", "none"])
def test_servers(ntp, change, want):
    assert ntp({**NTP, **change}) == ([{"code": 0}], want)


@pytest.mark.parametrize("change, code", [
    ({"type": "fortiguard"}, -7),
    ({"ntpserver": [{**SERVER, "authentication": "enable"}]}, -7),
    ({"ntpserver": [{**SERVER, "server": "a\nserver 203.0.113.1"}]}, -651),
    ({"ntpserver": [{**SERVER, "server": "a key 1"}]}, -651),
    ({"ntpserver": [{**SERVER, "server": "-x"}]}, -651),
    ({"ntpserver": [{**SERVER, "server": ""}]}, -651)],
                         ids=["vendors", "keys", "line-end", "words", "option", "empty"])
def test_refusals(ntp, change, code):
    """Each with its reason, and the file stays as it is."""
    answers, text = ntp({**NTP, "ntpserver": [SERVER]}, {**NTP, **change})
    assert answers[0] == {"code": 0} and answers[1]["code"] == code and answers[1]["message"]
    assert text == ["server 192.0.2.123 iburst maxpoll 11"]


def test_deleted_and_back(ntp):
    """The file goes with the last server."""
    assert ntp({**NTP, "ntpserver": [SERVER]}, {**NTP, "ntpsync": "disable"}) == ([{"code": 0}, {"code": 0}], None)
    assert ntp(None) == ([{"code": 0}], None)
