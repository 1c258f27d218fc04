"""TLS: versions, suites, and a server that does not ask who comes."""

import pytest

import expect
from harness import FGFMD
from netns import run

WEAK = ["AES256-SHA", "DHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA"]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_modern_versions(lab, version):
    """TLS 1.2 always; 1.3 where the agent's library has it (else 1.2 is all that is seen)."""
    lowest = "1.2" if version == "1.3" else version
    manager, _agent = lab.connected(manager=lab.manager(behaviour=[f"tls.min={lowest}", f"tls.max={version}"]))
    seen = manager.wait("tls")["tls_version"]
    assert seen == "TLSv1.2" if version == "1.2" else seen in ("TLSv1.2", "TLSv1.3")
    assert manager.errors() == []


def test_tls_1_1_peer(lab):
    """A peer that offers nothing above TLS 1.1 is not spoken to, and the log says why."""
    manager = lab.manager(behaviour=["tls.min=1.1", "tls.max=1.1"])
    agent = lab.agent.start()
    manager.wait("session_closed")
    agent.wait_log(expect.log("tls version"))
    assert manager.events("tls") == [] and manager.events("get_auth") == []


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256",
                                   "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_suites_of_the_high_level(lab, suite):
    """Each suite of `enc-algorithm high` that fits an EC certificate is offered."""
    manager, _agent = lab.connected(manager=lab.manager(behaviour=["tls.max=1.2", f"tls.ciphers={suite}"]))
    assert manager.wait("tls")["suite"] == suite


def test_whose_aes_gcm(lab):
    """The session says whose AES-GCM it uses, the one `fgfmd -V` names for this machine."""
    _manager, agent = lab.connected()
    version = run(FGFMD, "-V").stdout
    assert f"AES-GCM by {agent.ask_json('diagnose', 'fgfm', 'session')['aes-gcm']})" in version


@pytest.mark.parametrize("suite", ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256",
                                   "DHE-RSA-AES256-GCM-SHA384"])
def test_suites_of_the_high_level_with_rsa(lab, pki, suite):
    """... and each that fits an RSA one."""
    lab.agent.set(ca_certificate=f'"{pki}/mixed-ca.pem"')
    manager = lab.manager("rsa-manager", behaviour=["tls.max=1.2", f"tls.ciphers={suite}"])
    lab.connected(manager=manager)
    assert manager.wait("tls")["suite"] == suite


@pytest.mark.parametrize("level", ["high", "default", "low"])
def test_sha1_suites_are_never_offered(lab, level):
    """No SHA-1 MAC at any level."""
    lab.agent.configure(central=f"    set enc-algorithm {level}\n")
    manager = lab.manager(behaviour=["tls.max=1.2", f"tls.ciphers={':'.join(WEAK)}:@SECLEVEL=0"])
    lab.agent.start()
    manager.wait("session_closed")
    assert manager.events("tls") == []


@pytest.mark.parametrize("level, reached", [("high", False), ("low", True)])
def test_cbc_suites_at_the_low_level_only(lab, level, reached):
    """AES-CBC with SHA-256/384 is for `enc-algorithm low`."""
    lab.agent.configure(central=f"    set enc-algorithm {level}\n")
    suites = "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA256"
    manager = lab.manager(behaviour=["tls.max=1.2", f"tls.ciphers={suites}"])
    lab.agent.start()
    if reached:
        manager.ready()
    else:
        manager.wait("session_closed")
        assert manager.events("tls") == []


def test_server_that_does_not_ask_for_a_certificate(lab):
    """The device's certificate stays unseen; the session works all the same."""
    manager, _agent = lab.connected(manager=lab.manager(behaviour=["tls.client_cert=none"]))
    assert manager.wait("tls")["device_cn"] == ""


def test_device_shows_its_certificate(lab):
    """A server that asks gets the certificate whose name is the serial."""
    manager, _agent = lab.connected()
    assert manager.wait("tls")["device_cn"] == "FGVM010000000001"
