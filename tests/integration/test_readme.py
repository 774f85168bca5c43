"""The README, tried as a new administrator does: its commands, in its order, with its output."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from builders.console_blocks import Shown, script_of, shown_commands
from builders.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
_PORTS = ("11112", "4242", "8042")
_NEEDED = {"storescu": "dcmtk", "/usr/sbin/Orthanc": "orthanc", "curl": "curl"}
_DONE_WITHIN_S = 1500

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_every_command_of_the_readme_does_what_it_shows(tmp_path: Path) -> None:
    """In an empty folder, from the first configuration to a report in Orthanc."""
    for program, package in _NEEDED.items():
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: apt install {package})")
    shown = _on_free_ports(shown_commands(ROOT / "README.md"))
    assert len(shown) >= 10
    run, kept = tmp_path / "run", tmp_path / "kept"
    run.mkdir(), kept.mkdir()
    _run(script_of(shown, folder=kept), run)
    for number, one in enumerate(shown):
        code, output = kept / f"{number}.code", (kept / f"{number}.out").read_text()
        assert code.exists() and code.read_text() == "0\n", f"{one.command}\n{output}"
        assert one.is_met_by(output), f"{one.command}\nshown:\n{one.output}\nprinted:\n{output}"


def test_every_document_that_the_readme_names_is_there() -> None:
    """No link leads nowhere, and every document is linked."""
    named = set(re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert [name for name in named if not (ROOT / name).exists()] == []
    documents = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert documents and documents - named == set()


def _on_free_ports(shown: tuple[Shown, ...]) -> tuple[Shown, ...]:
    """The same with other ports: those of the README may be taken on this machine."""
    ports = {port: str(free_port()) for port in _PORTS}
    pattern = re.compile("|".join(rf"\b{port}\b" for port in ports))

    def moved(text: str) -> str:
        return pattern.sub(lambda found: ports[found[0]], text)

    return tuple(replace(one, command=moved(one.command), output=moved(one.output)) for one in shown)


def _run(script: str, folder: Path) -> None:
    """The whole in one shell, so that variables and jobs last; whatever it started ends with it."""
    own = str(Path(sys.executable).parent)
    others = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != own]
    path = os.pathsep.join([*others, own])
    environment = {name: value for name, value in os.environ.items() if name != "DICOM_NODE_CONFIG"} | {"PATH": path}
    with (folder.parent / "shell.log").open("wb") as log:
        shell = subprocess.Popen(["bash", "-c", script], cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            shell.wait(timeout=_DONE_WITHIN_S)
        except subprocess.TimeoutExpired:
            shell.terminate()
            shell.wait(timeout=90)
            pytest.fail(f"not done within {_DONE_WITHIN_S} s: see {folder.parent}")
