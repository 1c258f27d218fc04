"""Attacks of a manager, each with what has to come of it, and what must be as before after every one of them.

One manager and one agent serve many attacks: a case is (name, attack, outcome). The attack is called with the World and
may return something; the outcome judges it. Then the session, or a new one, has to work, the agent to be the same
process, and configuration, trusted list, state directory, addresses, routes, sockets, memory and descriptors to be
where they were.
"""

import hashlib
import json
import os
import re
import time

import expect
import netstate
from control import ControlError
from harness import MANAGER_SERIAL
from netns import memory, poll

import frame
import mischief
from message import Message

# What the allocator may keep, of all attacks together: each is compared with the beginning of the first.
MEMORY_SLACK_KB = 512
# Records of what happened are allowed to tell of the attacks.
RECORDS = {"script-history.jsonl", "receipts.jsonl"}
SOCK_TIMEOUT_S = 90
# The manager speaks more often than that, on the agent's clock.
BASE_BEHAVIOUR = {"keepalive_every": "1"}
LOG_LEVEL = "3"  # errors and sessions: a line for each of 10,000 messages would be most of the work
HOSTILE_VALUE = r"%s%n%x%p%1$s%999999999c"


def message(verb, argument="", data=b"", **keys):
    """One message in its frame."""
    return frame.build(frame.MESSAGE, Message(verb, argument, keys, data).body())


def coded(*streams):
    """Streams of bytes in the coding of channels, as text for the control socket."""
    return b"".join(b"%d\n%s0\n" % (len(s), s) if s else b"0\n" for s in streams).decode("latin-1")


class World:
    """A manager and an agent with a session, and a picture of all that no manager may change here."""

    def __init__(self, lab, registered):
        self.lab = lab
        self.registered = registered
        self.manager = None
        self.agent = lab.agent
        self.session = self.mark = self.log_start = None
        self._picture = self._memory = self._differs = None

    def begin(self):
        """Once, and again after an attack that left things otherwise."""
        if self.manager is None:
            self.agent.set(apply_system="enable", resolv_conf=f'"{self.lab.folder}/resolv.conf"',
                           localtime=f'"{self.lab.folder}/localtime"')
            self.manager = self.lab.manager(register=self.registered,
                                            options=["--sock-timeout", str(SOCK_TIMEOUT_S),
                                                     "--keepalive-interval", "600"])
        self._behave_well()
        self.session, since = None, self.manager.mark()
        self.agent.restart(level=LOG_LEVEL)
        self.manager.wait("ready", since=since, registered=self.registered)
        self._warm_up()
        # the kernel looks for a second host of this address for a second or two
        poll(lambda: not self.lab.device_ns.ip("-6", "address", "show", "tentative").stdout, 5, "link-local addresses")
        self._picture, self._memory = self.picture(), self.memory()

    def _warm_up(self):
        """What the first of its kind makes the allocator keep."""
        for _ in range(5):
            self.settle()
            if self.registered:
                self.open({"file_exch_cmd": "put_script", "script_id": "warm"}, ["get system status\n"])
                self.open({"file_exch_cmd": "put_json_cmd"}, ["{}"])
            self.raw(mischief.SAYINGS["unknown-get"] * 2000)
            self.settle()
            since = self.manager.mark()
            self.manager.call("drop")
            self.manager.wait("ready", since=since)
        time.sleep(0.5)

    # what attacks are made of

    def raw(self, data):
        self.manager.call("send_raw", hex=data.hex(), session=self.session)

    def drip(self, data, pause=0.0):
        """Byte by byte, and no other word between."""
        self.manager.behave("keepalive_every=0")
        for at in range(len(data)):
            self.raw(data[at:at + 1])
            time.sleep(pause)

    def open(self, keys, streams=(), **options):
        return self.manager.call("open", keys=keys, streams=list(streams), session=self.session, **options)

    def come_again(self, *behaviour):
        """The next session meets this behaviour."""
        self.manager.behave(*behaviour)
        self.mark = self.manager.mark()
        self.manager.call("drop", session=self.session)
        dropped = self.manager.wait("session_closed", since=self.mark, session=self.session)
        self.mark = dropped["seq"]
        self.session = None

    # what outcomes look at

    def log(self):
        """What the agent has logged since the attack began."""
        with open(self.agent.log_file, "rb") as file:
            file.seek(self.log_start)
            return file.read().decode("utf-8", "replace")

    def wait_log(self, pattern):
        return poll(lambda: re.search(pattern, self.log()), 10, f"log line {pattern!r}")

    def settle(self):
        """Whatever was sent in a session has been looked at."""
        self.manager.call("keepalive", session=self.session)

    def closed(self, timeout=10.0):
        """The event of the end of the attacked session."""
        match = {"session": self.session} if self.session else {}
        return self.manager.wait("session_closed", timeout, self.mark, **match)

    def replies(self, code, request=None):
        wanted = {"line": f"reply {code}"}
        return [e for e in self.manager.events("rx", self.mark, **wanted)
                if request in (None, e["keys"].get("request"))]

    # what may not change

    def picture(self):
        """The configuration, the list, the state directory and the system."""
        pid = self.agent.process.program_pid
        return {"process": pid, "configuration": self.agent.ask("show"), "trusted": self.agent.trusted(),
                "files": self._files(), "run": sorted(os.listdir(self.agent.run_dir)),
                "hostname": netstate.hostname(pid),
                "resolv.conf": (self.lab.folder / "resolv.conf").exists(),
                "device": netstate.network(self.lab.device_ns), "isolated": netstate.network(self.lab.isolated_ns)}

    def _files(self):
        found = {}
        for path in sorted(self.agent.state.rglob("*")):
            if path.is_file() and path.name not in RECORDS:
                found[str(path.relative_to(self.agent.state))] = (oct(path.stat().st_mode), _digest(path))
        return found

    def memory(self):
        """Kilobytes resident and written, and the number of descriptors."""
        pid = self.agent.process.program_pid
        rows = memory(pid)
        return rows["Rss"], rows["Private_Dirty"], len(os.listdir(f"/proc/{pid}/fd"))

    def _memory_is_back(self):
        now = self.memory()
        return (now[0] <= self._memory[0] + MEMORY_SLACK_KB and now[1] <= self._memory[1] + MEMORY_SLACK_KB
                and now[2] == self._memory[2])

    def assert_as_before(self):
        """Some of it takes a moment: the new session's tunnel, memory that is given back when a load is over."""
        def same():
            now = self.picture()
            self._differs = {k: (self._picture[k], v) for k, v in now.items() if v != self._picture[k]}
            return not self._differs
        try:
            poll(same, 5, "the picture of before", every=0.1)
        except AssertionError:
            raise AssertionError(f"changed by the attack: {self._differs}") from None
        try:
            poll(self._memory_is_back, 5, "memory", every=0.1)
        except AssertionError:
            raise AssertionError(f"memory (resident kB, written kB, descriptors) was {self._memory}, "
                                 f"is {self.memory()}") from None

    # one case

    def run(self, case):
        """Attack, judge, look that all is well; a failure makes the next case begin anew."""
        name, attack, outcome = case
        if self._picture is None:
            self.begin()
        try:
            self._attack(attack, outcome)
        except BaseException:
            self._picture = None
            raise

    def _attack(self, attack, outcome):
        self.session = self._newest()["session"]
        self.settle()
        self.mark, self.log_start = self.manager.mark(), self.agent.log_file.stat().st_size
        try:
            got = attack(self)
        except ControlError as error:
            got = error
        outcome(self, got)
        self._behave_well()
        self._assert_works()
        self.assert_as_before()

    def _behave_well(self):
        self.manager.call("behaviour", reset=True, set=BASE_BEHAVIOUR)

    def _newest(self):
        """The session that is up, however the attack before ended."""
        def look():
            up = [s for s in self.manager.sessions() if s["stage"] == "up"]
            return up[-1] if up else None
        return poll(look, 10, "a session")

    def _assert_works(self):
        newest = self._newest()
        if newest["channels"]:  # left open by the attack
            self.manager.call("drop", session=newest["session"])

        def works():
            self.session = self._newest()["session"]
            try:
                self.settle()
                return not self.registered or "config system global" in self.manager.get_config()
            except ControlError:  # it ended in between
                return False
        poll(works, 10, "a session that works")
        assert self.agent.trusted() == ([MANAGER_SERIAL] if self.registered else [])


def _digest(path):
    """Of a file, without the times in it."""
    data = path.read_bytes()
    if path.suffix == ".json":
        data = json.dumps(_timeless(json.loads(data))).encode()
    return hashlib.sha256(data).hexdigest()


def _timeless(value):
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in ("last-good", "last-used")}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


# --- outcomes -------------------------------------------------------------------------------------------------------

def stays(world, got):
    """The session goes on as if nothing had been."""
    assert not isinstance(got, ControlError), got
    world.settle()
    assert world.manager.events("session_closed", world.mark) == []


def ends(pattern, timeout=10.0):
    """The session ends, and the agent says why, once."""
    def judge(world, _got):
        world.closed(timeout)
        world.wait_log(pattern)
        lines = [line for line in world.log().splitlines() if re.search(pattern, line)]
        assert len(lines) == 1 or world.session is None, lines
    return judge


def turned_away(pattern):
    """A session ends before anything else was asked for."""
    def judge(world, _got):
        closed = world.closed()
        world.wait_log(pattern)
        assert world.manager.events("get_ip", session=closed["session"]) == []
        assert world.manager.events("ready", session=closed["session"]) == []
    return judge


def bad_address(world, _got):
    """A session ends before it is up."""
    closed = world.closed()
    world.wait_log("reply to get ip: .* is not what was expected")
    assert world.manager.events("keepalive", session=closed["session"]) == []


def lives(world, got):
    """Whether the session does is left open; the agent and everything else do."""
    assert not isinstance(got, ControlError), got
    assert world.agent.process.alive()


def refused(code):
    """A request is answered with this code; the session stays."""
    def judge(world, got):
        assert isinstance(got, ControlError) and str(got).startswith(f"refused {code}: "), got
        stays(world, None)
    return judge


def closes(code, reason=""):
    """The channel is closed with this code; the session stays."""
    def judge(world, got):
        assert not isinstance(got, ControlError), got
        event = world.manager.wait("channel_closed", 15, world.mark)
        assert event["code"] == (str(code) if code else None) and re.search(reason, event["reason"] or ""), event
        stays(world, None)
    return judge


def answers(code, count=1, request=None):
    """So many replies with this code; the session stays."""
    def judge(world, got):
        stays(world, got)
        assert len(world.replies(code, request)) == count
    return judge


def json_error(code):
    """A JSON request is answered, with this code; the session stays."""
    def judge(world, got):
        assert not isinstance(got, ControlError), got
        reply = json.loads(got["streams"][0])
        seen = reply["error"]["code"] if "error" in reply else reply["result"][-1]["status"]["code"]
        assert seen == code and "install" not in reply, reply
        stays(world, None)
    return judge


def prints(*texts):
    """A script is run, and says this; the session stays."""
    def judge(world, got):
        assert not isinstance(got, ControlError) and not got["closed"], got
        for text in texts:
            assert text in got["streams"][0], got["streams"][0][-500:]
        stays(world, None)
    return judge


def frame_ends(field):
    """A bad header: one line names the field, what was expected and what came."""
    return ends(expect.frame_refusal(field))
