"""How much of what threads freed a function gives back to the system."""

import json
import subprocess
import sys

_HOLDER = """
import json, threading
from pathlib import Path
from {module} import {function} as give_back

def resident_mib():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024

kept = []

def work():
    pieces = [b"x" * 60_000 for _ in range(1000)]
    kept.append(pieces[-1])

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
before = resident_mib()
give_back()
print(json.dumps([before, resident_mib()]))
"""
"""Four threads that need 60 MB each and keep the last 60 KB, which lie at the top of their heaps."""


def resident_before_and_after(module: str, function: str) -> tuple[float, float]:
    """MiB that a process holds before and after it calls the function, in a process of its own."""
    command = [sys.executable, "-c", _HOLDER.format(module=module, function=function)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    before, after = json.loads(done.stdout)
    return before, after
