"""Which managers the agent accepts: the three checks, first contact, renewal."""

import pytest

import expect
from harness import AT_1970, MANAGER_SERIAL

# certificate, serial named in the reply, the configured CA file, word for the log
REFUSED_AT_FIRST_CONTACT = [
    pytest.param("manager", "FMG-VM0000000077", "ca", "serial differs", id="reply-names-another-serial"),
    pytest.param("manager-expired", MANAGER_SERIAL, "ca", "expired", id="expired"),
    pytest.param("manager-notyet", MANAGER_SERIAL, "ca", "not yet valid", id="not-yet-valid"),
    pytest.param("manager-wrongca", MANAGER_SERIAL, "ca", "wrong ca", id="wrong-ca"),
    pytest.param("manager-samename", MANAGER_SERIAL, "ca", "wrong ca", id="same-named-ca-with-another-key"),
    pytest.param("manager-revoked", MANAGER_SERIAL, "ca", "revoked", id="revoked"),
    pytest.param("device-as-manager", "FGVM010000000099", "ca", "not a manager", id="device-poses-as-manager"),
    pytest.param("manager-clientonly", MANAGER_SERIAL, "ca", "purpose", id="no-server-usage"),
]

ACCEPTED = [
    pytest.param("manager", "ca", id="plain"),
    pytest.param("manager-noeku", "ca", id="no-extended-key-usage"),
    pytest.param("manager-san", "ca", id="serial-in-dns-name"),
    pytest.param("manager-inter", "ca", id="intermediate-ca"),
]


def assert_refused(lab, manager, agent, word, timeout=10.0):
    """Refused with a reason, nothing learnt, nothing set up."""
    agent.wait_log(expect.log(word), timeout)
    assert manager.events("get_ip") == []
    assert agent.trusted() == []
    assert not any("." in a for a in lab.isolated_ns.addresses("fgfm0"))
    agent.wait_ready()
    assert expect.connection(agent.status()) != expect.UP


@pytest.mark.parametrize("certificate, serial, ca, word", REFUSED_AT_FIRST_CONTACT)
def test_refused(lab, pki, certificate, serial, ca, word):
    """A manager that fails a check gets no get ip, no trust and no tunnel, and the log says which check."""
    lab.agent.set(ca_certificate=f'"{pki}/{ca}.pem"', crl=f'"{pki}/crl.pem"')
    manager = lab.manager(certificate, serial=serial)
    agent = lab.agent.start()
    assert_refused(lab, manager, agent, word)


@pytest.mark.parametrize("certificate, ca", ACCEPTED)
def test_accepted(lab, pki, certificate, ca):
    """Certificates that are in order, one way or another."""
    lab.agent.set(ca_certificate=f'"{pki}/{ca}.pem"', crl=f'"{pki}/crl.pem"')
    manager, agent = lab.connected(manager=lab.manager(certificate))
    assert agent.trusted() == [MANAGER_SERIAL] and manager.errors() == []


def test_rsa_chain(lab, pki):
    """The same with RSA-2048 certificates on both sides."""
    agent = lab.agent
    agent.set(certificate=f'"{pki}/rsa-device.pem"', private_key=f'"{pki}/rsa-device.key"',
              ca_certificate=f'"{pki}/mixed-ca.pem"')
    manager, _ = lab.connected(manager=lab.manager("rsa-manager", ca="mixed-ca"))
    assert "RSA" in manager.wait("tls")["suite"] or manager.wait("tls")["tls_version"] == "TLSv1.3"


def test_serial_not_in_the_list(lab, pki):
    """With a list that is not empty, another good manager is turned away with the guide's words."""
    manager, agent = lab.connected()
    mark = manager.mark()
    manager.use_certificate(pki, "manager-02", "FMG-VM0000000002")
    manager.call("drop")
    manager.wait("get_auth", since=mark)
    agent.wait_log(expect.log("not in list", sn="FMG-VM0000000002"))
    assert manager.events("get_ip", since=mark) == []
    assert agent.trusted() == [MANAGER_SERIAL]


def test_first_contact_only_with_named_serials(lab):
    """`set serial-number` narrows first contact to the serials it names."""
    lab.agent.configure(central='    set serial-number "FMG-VM0000000005"\n')
    manager = lab.manager()
    agent = lab.agent.start()
    manager.wait("get_auth")
    agent.wait_log(expect.log("not named"))
    assert manager.events("get_ip") == [] and agent.trusted() == []


def test_named_serial_is_admitted(lab):
    """... and admits those."""
    lab.agent.configure(central=f'    set serial-number "{MANAGER_SERIAL}"\n')
    _manager, agent = lab.connected()
    assert agent.trusted() == [MANAGER_SERIAL]


@pytest.mark.parametrize("ca", ["ca", "all-ca"])
def test_renewal_under_the_same_issuer(lab, pki, ca):
    """A listed manager with a new key from the same issuer is accepted, and the log calls it a renewal."""
    lab.agent.set(ca_certificate=f'"{pki}/{ca}.pem"')
    manager, agent = lab.connected()
    start, mark = len(agent.log()), manager.mark()
    manager.use_certificate(pki, "manager-renewed")
    manager.call("drop")
    manager.ready(since=mark)
    agent.wait_log(expect.log("renewal"), start=start)
    assert agent.trusted() == [MANAGER_SERIAL]


@pytest.mark.parametrize("certificate", ["manager-samename", "manager-wrongca"])
def test_listed_serial_from_another_issuer(lab, pki, certificate):
    """Another issuer is refused even if it is a configured CA, and even if it has the same name."""
    lab.agent.set(ca_certificate=f'"{pki}/all-ca.pem"')
    manager, agent = lab.connected()
    start, mark = len(agent.log()), manager.mark()
    manager.use_certificate(pki, certificate)
    manager.call("drop")
    agent.wait_log(expect.log("other issuer"), start=start)
    assert manager.events("get_ip", since=mark) == []
    manager.use_certificate(pki, "manager")
    manager.ready(since=mark)


@pytest.mark.parametrize("certificate, word", [("manager-expired", "expired"), ("manager-revoked", "revoked")])
def test_listed_manager_whose_certificate_went_bad(lab, pki, certificate, word):
    """Being listed does not make up for an invalid certificate; a good one is taken again."""
    lab.agent.set(crl=f'"{pki}/crl.pem"')
    manager, agent = lab.connected()
    start, mark = len(agent.log()), manager.mark()
    manager.use_certificate(pki, certificate)
    manager.call("drop")
    agent.wait_log(expect.log(word), start=start)
    assert manager.events("get_ip", since=mark) == []
    assert agent.trusted() == [MANAGER_SERIAL]
    manager.use_certificate(pki, "manager")
    manager.ready(since=mark)


def test_clock_at_1970(lab):
    """A box whose clock starts at 1970 reaches its manager: dates are judged at the build time at least."""
    manager, _agent = lab.connected(faketime=AT_1970)
    assert manager.errors() == []


def test_expired_is_expired_at_1970_too(lab):
    """... and the same rule refuses a certificate that ended before the agent was built."""
    manager = lab.manager("manager-expired")
    agent = lab.agent.start(faketime=AT_1970)
    assert_refused(lab, manager, agent, "expired")
