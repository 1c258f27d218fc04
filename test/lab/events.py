"""The lab's memory: a numbered list of events that tests and people can wait on."""

import asyncio
import collections
import json
import time

KEPT = 50000


def matches(event, name, since=0, match=None):
    """Is this the event asked for? Values are compared as text, '*' as a name takes any."""
    return (event["seq"] > since and name in ("*", event["event"])
            and all(str(event.get(k)) == str(v) for k, v in (match or {}).items()))


class EventLog:
    """Append-only, bounded; one JSON line per event in the log file, one short line on stderr."""

    def __init__(self, log_file=None, echo=None):
        self._events = collections.deque(maxlen=KEPT)
        self._queues = set()
        self._file = open(log_file, "a", buffering=1, encoding="utf-8") if log_file else None
        self._echo = echo
        self.last = 0

    def add(self, name, **fields):
        self.last += 1
        event = {"seq": self.last, "time": round(time.time(), 3), "event": name, **fields}
        self._events.append(event)
        if self._file:
            self._file.write(json.dumps(event) + "\n")
        if self._echo:
            self._echo(event)
        for queue in self._queues:
            queue.put_nowait(event)
        return event

    def since(self, seq, name="*", match=None):
        return [e for e in self._events if matches(e, name, seq, match)]

    async def follow(self, seq=0):
        """Past events after `seq`, then every new one."""
        queue = asyncio.Queue()
        self._queues.add(queue)
        try:
            for event in self.since(seq):
                yield event
                seq = event["seq"]
            while True:
                event = await queue.get()
                if event["seq"] > seq:
                    yield event
        finally:
            self._queues.discard(queue)

    async def wait(self, name, since=0, match=None, timeout=10.0):
        """The first matching event after `since`, or None when the time is over."""
        async def first():
            async for event in self.follow(since):
                if matches(event, name, since, match):
                    return event
        try:
            return await asyncio.wait_for(first(), timeout)
        except asyncio.TimeoutError:
            return None


def short(event):
    """One line for people."""
    skip = {"seq", "time", "event", "session"}
    stamp = time.strftime("%H:%M:%S", time.localtime(event["time"]))
    where = f" #{event['session']}" if "session" in event else ""
    rest = " ".join(f"{k}={v!r}" if isinstance(v, str) else f"{k}={v}"
                    for k, v in event.items() if k not in skip)
    return f"{stamp}{where} {event['event']} {rest}".rstrip()
