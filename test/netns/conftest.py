"""Fixtures of the end-to-end tests."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from harness import Lab  # noqa: E402

LOG_TAIL = 8000


def pytest_configure():
    # a polite kill of pytest has to run the fixtures' clean-up too
    def interrupted(_number, _frame):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, interrupted)


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="network namespaces take root"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Put the logs of both sides into the report of a failure."""
    report = (yield).get_result()
    lab = item.funcargs.get("lab") if hasattr(item, "funcargs") else None
    if report.failed and lab is not None:
        for title, text in lab.logs():
            report.sections.append((title, text[-LOG_TAIL:]))


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """Folder of the throw-away PKI, see make-pki; FGFM_PKI names one that is there already."""
    if "FGFM_PKI" in os.environ:
        return pathlib.Path(os.environ["FGFM_PKI"])
    folder = tmp_path_factory.mktemp("pki")
    subprocess.run([str(HERE.parent / "pki" / "make-pki"), str(folder)], check=True)
    return folder


@pytest.fixture
def lab(pki):
    """Two joined hosts; the agent and the managers are started by the test."""
    with Lab(pki) as made:
        yield made
