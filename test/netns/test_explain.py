"""`diagnose fgfm explain`: in each case that fails it names the step, what was expected and what came."""

import pytest

import expect
from harness import BRISK, MANAGER_IP, MANAGER_SERIAL
from netns import poll

STEPS = ["manager", "link", "route", "tcp", "tls", "certificate", "serial", "trusted-list", "registration", "session"]


def explained(agent):
    document = agent.ask_json("diagnose", "fgfm", "explain")
    assert [row["step"] for row in document["steps"]] == STEPS
    return document


def rows(document):
    return {row["step"]: row for row in document["steps"]}


def assert_fails_at(agent, step, expected, presented):
    """The first step that failed, the values side by side, and everything before it not failed."""
    def look():
        document = explained(agent)
        row = rows(document)[step]
        good = document["failed"] == step and expect.search(presented, row["presented"])
        seen.append(document)
        return document if good else None
    seen = []
    try:
        document = poll(look, 15, f"failing at {step}", every=0.1)
    except Exception:
        raise AssertionError(f"{step} expected; {seen[-1:]}") from None
    row = rows(document)[step]
    assert row["verdict"] == "failed" and expect.search(expected, row["expected"]), row
    assert document["reason"] == row["presented"] and document["connection"] != "up"
    before = STEPS[:STEPS.index(step)]
    assert all(rows(document)[name]["verdict"] != "failed" for name in before)
    text = agent.ask("diagnose", "fgfm", "explain")
    return document, text


def no_manager(lab):
    lab.agent.configure(fmg=())


def no_name(lab):
    lab.agent.configure(fmg=("manager.invalid",))


def link_down(lab):
    lab.link("down")


def no_route(lab):
    lab.agent.configure(fmg=("203.0.113.7",), base="")


def port_closed(lab):
    """Nobody listens there."""


def manager_with(certificate="manager", serial=MANAGER_SERIAL, **options):
    return lambda lab: lab.manager(certificate, serial=serial, **options)


def listed_another(lab):
    """The list holds another manager than the one that comes."""
    manager, agent = lab.connected()
    manager.use_certificate(lab.pki, "manager-02", "FMG-VM0000000002")
    manager.call("drop")
    return manager


def listed_other_issuer(lab):
    """The listed serial comes with another issuer's certificate."""
    manager, _agent = lab.connected()
    manager.use_certificate(lab.pki, "manager-wrongca")
    manager.call("drop")
    return manager


def list_full(lab):
    """Nine more managers fill the list, then an eleventh comes."""
    manager, agent = lab.connected()
    manager.behave("register_password=pass")
    for number in range(2, 11):
        serial = f"FMG-VM{number:010}"
        manager.use_certificate(lab.pki, f"manager-{number:02}", serial)
        agent.ask("execute", "central-mgmt", "register-device", serial, "pass")
        manager.call("drop")
        poll(lambda s=serial: s in agent.trusted(), 10, f"{serial} in the list")
    manager.use_certificate(lab.pki, "manager-11", "FMG-VM0000000011")
    manager.call("drop")
    return manager


# name: what is done, more settings, the failing step, pattern of what was expected, pattern of what came
CASES = {
    "no-manager": (no_manager, {}, "manager", "configured manager", "not fortimanager"),
    "name-without-address": (no_name, {}, "manager", "with an address", "manager.invalid|name of the manager"),
    "link-down": (link_down, {}, "link", "up and has a carrier", "without a carrier"),
    "no-route": (no_route, {}, "route", "a route to 203.0.113.7", "unreachable"),
    "nobody-listens": (port_closed, {}, "tcp", f"{MANAGER_IP} port 541 accepts", "refused"),
    "tls-1.1": (manager_with(behaviour=["tls.min=1.1", "tls.max=1.1"]), {}, "tls", "TLS 1.2 or later",
                expect.log("tls version")),
    "expired": (manager_with("manager-expired"), {}, "certificate", "in its time", "(?i)expired"),
    "not-yet-valid": (manager_with("manager-notyet"), {}, "certificate", "in its time", expect.log("not yet valid")),
    "wrong-ca": (manager_with("manager-wrongca"), {}, "certificate", r"issued by a CA in .*ca\.pem",
                 expect.log("wrong ca")),
    "revoked": (manager_with("manager-revoked"), {"crl": "crl"}, "certificate", "not revoked", "(?i)revoked"),
    "device-as-manager": (manager_with("device-as-manager", "FGVM010000000099"), {}, "certificate", "a manager's",
                          expect.log("not a manager")),
    "serial-differs": (manager_with(serial="FMG-VM0000000077"), {}, "serial", f'"{MANAGER_SERIAL}"',
                       'serialno="FMG-VM0000000077"'),
    "garbage": (manager_with(behaviour=["auth.raw=garbage"]), {}, "serial", MANAGER_SERIAL, "magic|version"),
    "no-reply": (manager_with(behaviour=["auth.answer=off"]), {}, "serial", MANAGER_SERIAL, "(?i)no (reply|answer)"),
    "not-in-the-list": (listed_another, {}, "trusted-list", f"one of {MANAGER_SERIAL}", "FMG-VM0000000002"),
    "list-full": (list_full, {}, "trusted-list", "one of .*FMG-VM0000000010", "FMG-VM0000000011"),
    "other-issuer": (listed_other_issuer, {"ca-certificate": "all-ca"}, "trusted-list", MANAGER_SERIAL, "issuer"),
    "not-registered": (manager_with(register=False), {}, "registration", "has registered", "has not registered"),
    "address-refused": (manager_with(behaviour=["ip.code=500"]), {}, "registration", "manager answers", "500"),
}


@pytest.mark.parametrize("name", CASES)
def test_where_it_fails(lab, name):
    """The first failing step with expected and presented values, for people and programs alike."""
    prepare, settings, step, expected, presented = CASES[name]
    lab.agent.set(**{key: f'"{lab.pki}/{value}.pem"' for key, value in settings.items()})
    prepare(lab)
    if not lab.agent.process:
        lab.agent.start(faketime=BRISK)
        lab.agent.wait_ready()
    if name == "not-registered":
        lab.agent.wait_status(expect.UP)
        assert explained(lab.agent)["failed"] == step
        row = rows(explained(lab.agent))[step]
        assert expect.search(expected, row["expected"]) and expect.search(presented, row["presented"])
        return
    document, text = assert_fails_at(lab.agent, step, expected, presented)
    if step not in ("manager", "link"):
        assert rows(document)["link"]["verdict"] == "passed"
    assert "expected:  " in text and "presented: " in text


def test_when_all_is_well(lab):
    """With a registered session every step has passed, and says with what."""
    _manager, agent = lab.connected()
    document = explained(agent)
    assert document["failed"] == "" and {row["verdict"] for row in document["steps"]} == {"passed"}
    shown = rows(document)
    assert MANAGER_SERIAL in shown["serial"]["presented"] and "wan1" in shown["route"]["presented"]
    assert shown["tls"]["presented"].startswith("TLS")
    assert agent.ask("diagnose", "fgfm", "explain").startswith("The connection is up.")


def test_session_that_did_not_stay(lab):
    """A link that goes down under a session is named first, and what ended the session last."""
    _manager, agent = lab.connected()
    lab.link("down")
    poll(lambda: explained(agent)["failed"] == "link", 10, "the link to be blamed")
