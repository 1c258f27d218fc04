"""The last resort: rebooting into the saved configuration. The reboot itself is a script of the test."""

import json
import uuid

import pytest

import expect
from harness import HARMLESS_SET, HARMLESS_UNSET, real, with_boot_id
from netns import poll

SPEED = 300
FASTER = f"+0 x{SPEED}"
TO_THE_REBOOT = 900 + 300
GIVE_UP = 300


def reboot_command(lab, body="exit 0"):
    """Have reboots recorded in a file; returns that file."""
    marker = lab.folder / "rebooted"
    script = lab.folder / "reboot.sh"
    script.write_text(f"#!/bin/sh\necho reboot >> '{marker}'\n{body}\n")
    script.chmod(0o755)
    lab.agent.set(reboot_command=f'"{script}"')
    return marker


def reboots(marker):
    return len(marker.read_text().splitlines()) if marker.exists() else 0


def cut_off(lab, manager, agent, install_id, allow):
    """An install after which no manager answers any more."""
    manager.behave("at.results-done=rst", "at.accept=rst")
    manager.install(install_id, f'config system global\n    set hostname "{install_id}"\nend\n', HARMLESS_UNSET,
                    allow_reboot=allow)
    agent.wait_install_state(expect.TESTING)


def come_up_again(lab, manager, agent, boot_id=None):
    """The machine starts again, with another boot id."""
    manager.well_behaved()
    mark = manager.mark()
    agent.restart(faketime=FASTER, prefix=with_boot_id(lab.folder, boot_id or uuid.uuid4()))
    manager.ready(since=mark)
    return mark


@pytest.mark.parametrize("setting, wanted, expected", [
    (None, True, True), (None, False, False), ("enable", False, True), ("disable", True, False),
    ("manager", True, True),
], ids=["default-and-wanted", "default-not-wanted", "enabled", "disabled", "manager-and-wanted"])
def test_who_decides(lab, setting, wanted, expected):
    """rollback-allow-reboot and the install's own flag decide together."""
    if setting:
        lab.agent.configure(more=f"config system dm\n    set rollback-allow-reboot {setting}\nend\n")
    marker = reboot_command(lab)
    manager, agent = lab.connected(faketime=FASTER)
    saved = agent.saved.read_bytes()
    cut_off(lab, manager, agent, "d1", wanted)
    if expected:
        poll(lambda: reboots(marker) == 1, real(TO_THE_REBOOT, SPEED), "the reboot")
    else:
        agent.wait_install_state(expect.IDLE, timeout=real(TO_THE_REBOOT, SPEED))
        assert reboots(marker) == 0
        manager.well_behaved()
        assert expect.verdict(manager.receipt("d1", real(120, SPEED))) == "rolled-back"
    assert agent.saved.read_bytes() == saved


def test_reboot_is_reported_afterwards(lab):
    """The first session after the reboot brings a receipt `rebooted`, and status shows the reason."""
    marker = reboot_command(lab)
    manager, agent = lab.connected(faketime=FASTER)
    cut_off(lab, manager, agent, "r1", True)
    poll(lambda: reboots(marker) == 1, real(TO_THE_REBOOT, SPEED), "the reboot")
    mark = come_up_again(lab, manager, agent)
    assert expect.verdict(manager.receipt("r1", since=mark)) == "rebooted"
    assert not agent.journal.exists()
    assert expect.search(expect.log("reboot"), agent.ask("get", "system", "status"))


def test_reboot_is_recorded_at_the_uptime_it_happens(lab):
    """The record counts hours of uptime; what ran since the last whole one is counted before the reboot."""
    marker = reboot_command(lab)
    manager, agent = lab.connected(faketime=FASTER)
    cut_off(lab, manager, agent, "u1", True)
    poll(lambda: reboots(marker) == 1, real(TO_THE_REBOOT, SPEED), "the reboot")
    record = json.loads((agent.state / "reboots.json").read_text())
    assert [one["at"] for one in record["reboots"]] == [record["uptime"]]
    assert record["uptime"] >= TO_THE_REBOOT


@pytest.mark.parametrize("body", ["exit 1", "exit 0"], ids=["command-fails", "nothing-happens"])
def test_reboot_that_fails(lab, body):
    """Still running 300 s later: rolled back, cause `reboot failed`, dialling on."""
    marker = reboot_command(lab, body)
    manager, agent = lab.connected(faketime=FASTER)
    cut_off(lab, manager, agent, "f1", True)
    poll(lambda: reboots(marker) == 1, real(TO_THE_REBOOT, SPEED), "the reboot")
    agent.wait_install_state(expect.IDLE, timeout=real(GIVE_UP, SPEED))
    manager.well_behaved()
    receipt = manager.receipt("f1", real(120, SPEED))
    assert expect.verdict(receipt) == "rolled-back" and "reboot failed" in expect.cause(receipt)
    assert reboots(marker) == 1


def test_started_again_in_the_same_boot(lab):
    """A journal in REBOOTING found in the same boot means the reboot failed."""
    marker = reboot_command(lab)
    manager, agent = lab.connected(faketime=FASTER)
    cut_off(lab, manager, agent, "s1", True)
    poll(lambda: reboots(marker) == 1, real(TO_THE_REBOOT, SPEED), "the reboot")
    agent.kill()
    manager.well_behaved()
    mark = manager.mark()
    agent.restart(faketime=FASTER)
    manager.ready(since=mark)
    receipt = manager.receipt("s1", since=mark)
    assert expect.verdict(receipt) == "rolled-back" and "reboot failed" in expect.cause(receipt)


def test_fourth_reboot_in_a_day_is_not_done(lab):
    """Three reboots within 24 hours of uptime are the most."""
    marker = reboot_command(lab)
    manager, agent = lab.connected(faketime=FASTER)
    for number in range(1, 4):
        cut_off(lab, manager, agent, f"n{number}", True)
        poll(lambda n=number: reboots(marker) == n, real(TO_THE_REBOOT, SPEED), f"reboot {number}")
        mark = come_up_again(lab, manager, agent)
        manager.receipt(f"n{number}", since=mark)
    cut_off(lab, manager, agent, "n4", True)
    agent.wait_install_state(expect.IDLE, timeout=real(TO_THE_REBOOT, SPEED))
    assert reboots(marker) == 3


def test_power_lost_during_the_test(lab):
    """Another boot id while an install was on trial: the saved configuration is what came up; `power-lost`."""
    manager, agent = lab.connected(faketime=FASTER)
    saved = agent.saved.read_bytes()
    manager.behave("at.results-done=rst", "at.accept=rst")
    manager.install("p1", HARMLESS_SET, HARMLESS_UNSET)
    agent.wait_install_state(expect.TESTING)
    agent.kill()
    mark = come_up_again(lab, manager, agent)
    assert expect.verdict(manager.receipt("p1", since=mark)) == "power-lost"
    assert agent.saved.read_bytes() == saved and not agent.journal.exists()
