"""What a command took."""

import os
import subprocess
import sys
import tempfile


def measure(words, cwd=None, accept=(0,), stdout=None, stderr=None):
    """(milliseconds of processor time, bytes resident at most) of a command.

    What a process that was started from here had resident at most includes what this one has; time(1) is small."""
    with tempfile.NamedTemporaryFile("r", prefix="fgfm-bench-") as said:
        words = ["/usr/bin/time", "-q", "-o", said.name, "-f", "%M", *map(str, words)]
        with subprocess.Popen(words, cwd=cwd, stdout=stdout or subprocess.DEVNULL, stderr=stderr) as process:
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in accept:
            sys.exit(f"{' '.join(words)}: exit {process.returncode}")
        return (usage.ru_utime + usage.ru_stime) * 1000, int(said.read()) * 1024
