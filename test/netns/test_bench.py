"""The programs of test/bench do their work; what they measure is `make bench`'s."""

import os
import pathlib
import sys

from harness import ROOT
from netns import run

sys.path.insert(0, str(ROOT / "test" / "bench"))

import branch  # noqa: E402

PROGRAMS = pathlib.Path(os.environ.get("BENCH", ROOT / "build" / "bench"))


def figures(text):
    return {name: float(value) for name, value in map(str.split, text.splitlines())}


def test_engine(tmp_path):
    """A branch firewall goes in, comes out and goes back."""
    config = tmp_path / "config"
    config.write_text(branch.branch(2000))
    said = figures(run(PROGRAMS / "engine", config).stdout)
    assert said["attributes"] > 1000 and said["revert-apply"] > 0 and said["resum-last-ready"] >= 0


def test_routes(lab, tmp_path):
    """Routes go into the kernel and out of it."""
    config = tmp_path / "config"
    config.write_text(branch.routes(50))
    lab.device_ns.ip("link", "add", "bench0", "type", "veth", "peer", "name", "bench1")
    for device in ("bench0", "bench1"):
        lab.device_ns.ip("link", "set", device, "up")
    said = figures(lab.device_ns.run(PROGRAMS / "routes", config, tmp_path).stdout)
    assert said["apply"] > 0 and said["revert"] > 0
    assert not [route for route in lab.device_ns.routes() if "dev bench0 proto static" in route]


def test_package(tmp_path):
    """A package is verified, and installed twice; one that is bad is not measured."""
    pki = tmp_path / "pki"
    run(ROOT / "test" / "mkpkg", "--pki", pki, "-o", tmp_path / "virdb.pkg", "virdb=1.00001")
    run(ROOT / "test" / "mkpkg", "--pki", pki, "-o", tmp_path / "bad.pkg", "--break", "flipped-payload")
    words = [PROGRAMS / "package", "install", tmp_path / "virdb.pkg", pki / "root.pem", tmp_path / "store"]
    assert figures(run(PROGRAMS / "package", "digest", tmp_path / "virdb.pkg").stdout)["cpu"] >= 0
    assert figures(run(PROGRAMS / "package", "verify", tmp_path / "virdb.pkg", pki / "root.pem").stdout)["cpu"] > 0
    for _ in range(2):
        assert figures(run(*words).stdout)["longest"] > 0
    assert run(PROGRAMS / "package", "verify", tmp_path / "bad.pkg", pki / "root.pem", check=False).returncode == 1
