"""Where the machine's kernel comes from, with programs in place of apt that know only what a test lets them know.

    /usr/bin/pytest-3 test/vm
"""

import os
import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import image  # noqa: E402

NEW, OLD = "linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-8-cloud-amd64"
# `-c FILE`: the fresh lists. Then the archive has the new one; by the machine's own lists there is $STALE.
APT_GET = """case "$*" in
*update) [ "$FRESH" ] ;;
*download*) case "$*" in *"-c "*) [ "$FRESH" ] ;; *) [ "$STALE" = there ] ;; esac && touch kernel.deb ;;
esac"""
APT_CACHE = f"""case "$*" in
*"-c "*) echo "  Depends: {NEW}" ;;
*) [ "$STALE" != none ] && echo "  Depends: {OLD}" ;;
esac"""
DPKG_DEB = 'mkdir "$3/boot"'


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Programs whose calls are kept; call it with what they know. Returns the kernel's folder and the calls."""
    programs, calls = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    for name, text in (("apt-get", APT_GET), ("apt-cache", APT_CACHE), ("dpkg-deb", DPKG_DEB)):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\n{text}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def ask(cache, stale, fresh):
        monkeypatch.setenv("STALE", stale)
        monkeypatch.setenv("FRESH", fresh)
        return image.kernel(cache).name, [c for c in calls.read_text().splitlines() if c.startswith("apt-get")]
    return ask


@pytest.mark.parametrize("have, stale, fresh, kernel, updates", [
    ((), "there", "yes", OLD, 0), ((), "gone", "yes", NEW, 1), ((), "none", "yes", NEW, 1),
    ((OLD,), "gone", "yes", OLD, 0), ((NEW,), "none", "yes", NEW, 1),
    (("linux-image-6.1.0-7-cloud-amd64",), "gone", "", "linux-image-6.1.0-7-cloud-amd64", 1)],
                         ids=["known", "gone", "no-lists", "had", "had-but-no-lists", "no-network"])
def test_lists_are_refreshed_once(archive, tmp_path, have, stale, fresh, kernel, updates):
    cache = tmp_path / "vm"
    for name in have:
        (cache / name).mkdir(parents=True)
    name, calls = archive(cache, stale, fresh)
    assert name == kernel and (cache / name).is_dir()
    assert len([c for c in calls if c.endswith(" update")]) == updates
    assert updates == 0 or 'Dir::State::lists "' + str(cache / "apt") in (cache / "apt" / "apt.conf").read_text()


def test_nothing_to_be_had(archive, tmp_path):
    """The reason is that of the second try."""
    with pytest.raises(image.Missing, match="cannot be had from Debian(.|\n)*update: exit 1"):
        archive(tmp_path / "vm", "gone", "")
