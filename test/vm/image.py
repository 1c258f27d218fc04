"""The machine's files: kernel and modules out of Debian's package, an initramfs, and the disk.

Nothing of it is installed or mounted here: packages are unpacked into a folder, and mke2fs fills the disk from one.
"""

import lzma
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

HERE = pathlib.Path(__file__).resolve().parent
TEST = HERE.parent
sys.path.insert(0, str(TEST / "netns"))

from harness import DEVICE_CONFIG, MANAGER_IP  # noqa: E402
from netns import PYTHON  # noqa: E402

KERNEL = "linux-image-cloud-amd64"
# bridge is for the unit tests; macvlan, which could stand in for a VLAN there, is not among them
MODULES = ("nfit", "nd_pmem", "ext4", "veth", "tun", "8021q", "dummy", "bridge")
DISK_SIZE = "192M"
FOLDERS = ("dev", "proc", "sys", "run", "tmp", "root", "etc/fgfmd", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64",
           "var/lib/fgfmd", "var/log", "fgfmd", "fgfmd/unit")
# what the unit tests' shell lines call; the shell is not busybox's, which would take its own ip for iproute2's
APPLETS = ("grep", "mkdir", "rm", "wc")
# of Python's library, what no program here could want
NOT_NEEDED = ("test", "tests", "idlelib", "lib2to3", "ensurepip", "pydoc_data", "turtledemo", "tkinter", "config-*",
              "dist-packages", "site-packages")

BOOTSTRAP = """config agent
    set certificate "/fgfmd/pki/device.pem"
    set private-key "/fgfmd/pki/device.key"
    set ca-certificate "/fgfmd/pki/ca.pem"
end
"""
CENTRAL = f"""config system central-management
    set type fortimanager
    set fmg "{MANAGER_IP}"
end
"""


class Missing(Exception):
    """Something that has to come from the network, or from the host, is not there."""


def output(*words, cwd=None):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        raise Missing(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}".strip())
    return done.stdout


# --- kernel

class Packages:
    """Debian's packages: by this machine's lists, and once those are of no use by fresh ones in a folder of our own."""

    def __init__(self, folder):
        self._folder = folder
        self._options = ["-o", "APT::Sandbox::User=root"]

    def refresh(self):
        """Fetch lists. This machine's stay as they are, and what it does after an update is not done."""
        lists, cache, configuration = (self._folder / name for name in ("lists", "cache", "apt.conf"))
        for made in (lists / "partial", cache / "archives" / "partial"):
            made.mkdir(parents=True, exist_ok=True)
        configuration.write_text(f'Dir::State::lists "{lists}";\nDir::Cache "{cache}";\nAcquire::Languages "none";\n'
                                 "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n"
                                 "#clear APT::Update::Post-Invoke-Success;\n")
        self._options += ["-c", configuration]
        output("apt-get", *self._options, "update")

    def kernel(self):
        """Name of the package the meta package stands for."""
        found = re.search(r"Depends: (linux-image-\S+)", output("apt-cache", *self._options, "depends", KERNEL))
        if not found:
            raise Missing(f"apt knows no {KERNEL}")
        return found.group(1)

    def download(self, name, folder):
        output("apt-get", *self._options, "download", name, cwd=folder)


def kernel(cache):
    """The folder with Debian's newest cloud kernel unpacked; downloaded once, and without a network the last one."""
    packages = Packages(cache / "apt")
    try:
        try:
            return newest(packages, cache)
        except Missing:
            # lists that are older than the archive's last change name files it has no more
            packages.refresh()
            return newest(packages, cache)
    except Missing as missing:
        have = sorted(p for p in cache.glob("linux-image-*") if p.is_dir())
        if not have:
            raise Missing(f"no kernel for the machine: {KERNEL} cannot be had from Debian, and none is in {cache}\n"
                          f"{missing}") from None
        return have[-1]


def newest(packages, cache):
    folder = cache / packages.kernel()
    if not folder.exists():
        download(packages, folder)
    return folder


def download(packages, folder):
    """Both steps go elsewhere first, so that a folder of that name is always a whole one."""
    work = folder.parent / "unpacking"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    packages.download(folder.name, work)
    package = next(work.glob("*.deb"))
    output("dpkg-deb", "-x", package, work)
    package.unlink()
    for older in folder.parent.glob("linux-image-*"):
        shutil.rmtree(older)
    work.rename(folder)


def module_bytes(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def load_order(folder, wanted):
    """[(name, content)] of the modules and those they depend on, in the order to load them.

    Built-in ones have no file. The package has no modules.dep; a module names its own dependencies.
    """
    files = {p.name.split(".ko")[0].replace("-", "_"): p for p in folder.glob("**/*.ko*")}
    order = {}

    def add(name):
        if name not in files or name in order:
            return
        data = module_bytes(files[name])
        found = re.search(rb"\0depends=([^\0]*)\0", data)
        for other in (found.group(1).decode().split(",") if found else []):
            add(other.replace("-", "_"))
        order[name] = data

    for name in wanted:
        add(name)
    return list(order.items())


def initramfs(folder, out):
    """Busybox, the modules, and `init`, which loads them and goes on from the disk."""
    root = out.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "dev", "proc", "disk", "modules"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox(), root / "bin" / "busybox")
    for number, (name, data) in enumerate(load_order(folder, MODULES)):
        (root / "modules" / f"{number:02}-{name}.ko").write_bytes(data)
    shutil.copy(HERE / "init", root / "init")
    names = "\n".join(str(p.relative_to(root)) for p in sorted(root.glob("**/*")))
    with open(out, "wb") as archive:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, input=names.encode(), stdout=archive,
                       check=True)
    return out


def busybox():
    found = shutil.which("busybox")
    if not found:
        raise Missing("no busybox: test/deps.sh vm")
    return found


# --- disk

def copy(root, path):
    """One file of the host, at its own place; a link becomes what it points to."""
    target = root / str(path).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)


def libraries(programs):
    """What the loader would load for these, and the loader itself."""
    return set(re.findall(r"(?:=> |^\t)(/\S+) \(0x", output("ldd", *programs), re.MULTILINE))


def copy_python(root):
    """The host's Python and its library; returns the extension modules, which want libraries of their own."""
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    copy(root, pathlib.Path(PYTHON))
    shutil.copytree(library, root / str(library).lstrip("/"), ignore=shutil.ignore_patterns(*NOT_NEEDED))
    return sorted((library / "lib-dynload").glob("*.so"))


def copy_tests(root):
    """The lab manager, what the end-to-end tests share, and the story; compiled, for the machine is slow at that."""
    not_wanted = shutil.ignore_patterns("__pycache__", "test_*")
    for name in ("lab", "netns", "vm"):
        shutil.copytree(TEST / name, root / "fgfmd" / "test" / name, ignore=not_wanted)
    output(PYTHON, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", root / "fgfmd" / "test")


def tree(root, build, unit_tests):
    """Everything the disk shall hold, as a folder."""
    shutil.rmtree(root, ignore_errors=True)
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    copy(root, pathlib.Path(busybox()))
    for name in APPLETS:
        (root / "usr/bin" / name).symlink_to("busybox")
    tools = [pathlib.Path(shutil.which(name) or f"/usr/bin/{name}") for name in ("ip", "nsenter", "sh")]
    for tool in tools:
        copy(root, tool)
    programs = ["fgfmd", "fgfmctl", *(f"unit/{name}" for name in unit_tests)]
    for name in programs:
        shutil.copy2(build / name, root / "fgfmd" / name)
    extensions = copy_python(root)
    for library in libraries([*tools, *(build / name for name in programs), PYTHON, *extensions]):
        copy(root, library)
    copy_tests(root)
    output(TEST / "pki" / "make-pki", root / "fgfmd" / "pki")
    (root / "etc/fgfmd/fgfmd.conf").write_text(BOOTSTRAP)
    saved = root / "var/lib/fgfmd/sys_config.conf"
    saved.write_text(DEVICE_CONFIG + CENTRAL)
    saved.chmod(0o600)


def disk(build, unit_tests, out):
    """An ext4 image; everything initialised here, so that the machine writes nothing but its own."""
    root = out.with_suffix(".root")
    tree(root, build, unit_tests)
    out.unlink(missing_ok=True)
    output("mke2fs", "-q", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
           "-d", root, out, DISK_SIZE)
    return out
