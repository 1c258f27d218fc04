"""Fixtures for the tests of the lab manager: a PKI, and a manager on a loopback port."""

import pathlib
import subprocess
import sys
import time

import pytest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from control import ControlClient, ControlError  # noqa: E402
from fakeagent import FakeAgent  # noqa: E402


class RunningManager:
    """One `fmg serve` on 127.0.0.1 and a client for it."""

    def __init__(self, folder, pki, *options):
        self.pki = pki
        self.folder = folder
        self.client = ControlClient(str(folder / "fmg.sock"))
        self._output = open(folder / "fmg.log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "fmg"), "serve", "--listen", "127.0.0.1", "--port", "0",
             "--cert", f"{pki}/manager.pem", "--key", f"{pki}/manager.key", "--ca", f"{pki}/ca.pem",
             "--control", self.client.path, *options], stdout=self._output, stderr=subprocess.STDOUT)
        self.port = self._wait_for_port()

    def _wait_for_port(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                return self.wait("listening")["port"]
            except ControlError:
                assert self.process.poll() is None, (self.folder / "fmg.log").read_text()
                time.sleep(0.02)
        raise AssertionError("the manager did not start")

    def agent(self, **options):
        return FakeAgent("127.0.0.1", self.port, self.pki, **options)

    def wait(self, event, timeout=10, since=0, **match):
        return self.client.call("wait", event=event, match=match, timeout=timeout, since=since)["found"]

    def errors(self):
        return [e["what"] for e in self.client.call("list_events", event="protocol_error")["events"]]

    def behave(self, **settings):
        self.client.call("behaviour", set={k.replace("__", "."): v for k, v in settings.items()})

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self._output.close()


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    subprocess.run([str(HERE.parent / "pki" / "make-pki"), str(folder)], check=True)
    return folder


@pytest.fixture
def start_manager(tmp_path, pki):
    """A function that starts a manager with further options of `fmg serve`."""
    running = []

    def start(*options):
        running.append(RunningManager(tmp_path, pki, *options))
        return running[-1]
    yield start
    for manager in running:
        manager.stop()


@pytest.fixture
def manager(start_manager):
    """A manager that registers whoever comes."""
    return start_manager("--auto-register", "--behaviour", "ack_timeout=0.5")
