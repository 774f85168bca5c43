"""What a process asks the kernel for, in order, by strace(1)."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from builders.deadline import until

_LINE = re.compile(r"^(?P<thread>\d+)\s+(?P<rest>.*)$")
_RESUMED = re.compile(r"^<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)$")
_NAME = re.compile(r"^(?P<name>\w+)\(")


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCall:
    """One call; `begun` and `ended` are places in the order of everything that was seen."""

    name: str
    text: str
    """Arguments and result; paths beside descriptors, bytes of strings in hexadecimal."""
    begun: int
    ended: int


@contextmanager
def traced(pid: int, log: Path, *, names: str) -> Iterator[None]:
    """Follow all threads of a process for as long as the block lasts; skips where the system forbids it."""
    if shutil.which("strace") is None:
        pytest.skip("strace not installed: apt install strace")
    command = ["strace", "-f", "-y", "-s", "400", "-e", f"trace={names}", "-e", "write=none", "-o", str(log)]
    with subprocess.Popen([*command, "-xx", "-p", str(pid)], stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if "attached" not in said:
            tracer.kill()
            pytest.skip(f"this system lets nobody trace: {said.strip()}")
        try:
            yield
        finally:
            tracer.terminate()
            tracer.wait(20)
    until(lambda: log.exists() and log.stat().st_size, within_s=5, what="something was traced")


def calls_in(log: Path) -> list[SystemCall]:
    """The calls that succeeded, in the order of their beginning."""
    begun: dict[str, tuple[int, str]] = {}
    calls = []
    for number, line in enumerate(log.read_text().splitlines()):
        found = _LINE.match(line)
        if found is None:
            continue
        thread, rest = found["thread"], found["rest"]
        if rest.endswith("<unfinished ...>"):
            begun[thread] = (number, rest.removesuffix("<unfinished ...>"))
            continue
        start, text = number, rest
        if resumed := _RESUMED.match(rest):
            start, beginning = begun.pop(thread, (number, f"{resumed['name']}("))
            text = beginning + resumed["rest"]
        name = _NAME.match(text)
        if name and "= -1" not in text:
            calls.append(SystemCall(name=name["name"], text=_readable(text), begun=start, ended=number))
    return sorted(calls, key=lambda call: call.begun)


def _readable(text: str) -> str:
    """Paths as they are; the bytes that were sent stay in hexadecimal."""

    def decoded(found: re.Match[str]) -> str:
        data = bytes.fromhex(found[0].replace("\\x", ""))
        return data.decode() if data.isascii() and data.decode().isprintable() else found[0]

    return re.sub(r"(?:\\x[0-9a-f]{2})+", decoded, text)
