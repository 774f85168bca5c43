"""The units: valid, hardened, and true to what the services need."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dicom_node.cluster.abort import socket_problem

UNITS = Path(__file__).resolve().parents[2] / "systemd"
EXECUTABLE = "/opt/dicom-node/bin/dicom-node"
DROP_IN = UNITS / "dicom-node-work.ray.conf"
SAID = "Failed to connect to socket at address:/tmp/ray/session/sockets/raylet"
MAXIMUM_EXPOSURE = {"dicom-node-listen.service": 1.5, "dicom-node-work.service": 2.0, "dicom-node-web.service": 1.5}


@pytest.fixture
def systemd() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program of systemd; skips the test where it is not installed."""

    def run(program: str, *arguments: str, said: str | None = None) -> subprocess.CompletedProcess[str]:
        path = shutil.which(program)
        if path is None:
            pytest.skip(f"{program} is not installed (Debian: apt install systemd)")
        return subprocess.run([path, *arguments], input=said, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_there_are_exactly_these_units() -> None:
    """The tests below look at every unit."""
    assert {path.name for path in UNITS.glob("*.service")} == set(MAXIMUM_EXPOSURE)


@pytest.mark.parametrize("unit", MAXIMUM_EXPOSURE)
def test_unit_is_valid(systemd: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, unit: str) -> None:
    """systemd finds nothing to say about it, once its program exists."""
    installed = tmp_path / unit
    installed.write_text((UNITS / unit).read_text().replace(EXECUTABLE, "/bin/true"))
    done = systemd("systemd-analyze", "verify", "--man=no", str(installed))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("unit", "maximum"), MAXIMUM_EXPOSURE.items())
def test_unit_is_hardened(systemd: Callable[..., subprocess.CompletedProcess[str]], unit: str, maximum: float) -> None:
    """Exposure as systemd measures it, 0 to 10: an ordinary service has 9.6."""
    done = systemd("systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNITS / unit))
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) <= maximum


def test_the_drop_in_of_a_cluster_is_valid(
    systemd: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """systemd reads it with the unit: one with a mistake is found."""
    unit = tmp_path / "dicom-node-work.service"
    unit.write_text((UNITS / unit.name).read_text().replace(EXECUTABLE, "/bin/true"))
    drop_in = tmp_path / f"{unit.name}.d" / "ray.conf"
    drop_in.parent.mkdir()
    for text, said in ((DROP_IN.read_text(), ""), ("[Service]\nStateDirectory=/var\n", "ray.conf:2")):
        drop_in.write_text(text)
        done = systemd("systemd-analyze", "verify", "--man=no", str(unit))
        assert (done.returncode, done.stderr) == (0, "") if not said else said in done.stderr


def test_page_and_drop_in_name_the_same_folder_for_the_sockets_of_ray() -> None:
    """The worker's service sees it, and its name leaves room for Ray's in the 107 characters of unix(7)."""
    page = (UNITS.parent / "docs" / "ray.md").read_text()
    (state,) = re.findall(r"^StateDirectory=(.+)$", DROP_IN.read_text(), re.MULTILINE)
    folders = set(re.findall(r"--temp-dir=([\w/.-]+)", page))
    assert folders == {f"/var/lib/{state}"}
    assert folders == set(re.findall(r"--temp-dir=([\w/.-]+)", socket_problem(SAID)))
    assert f"systemd/{DROP_IN.name}" in page
    # A session is named after its instant and the process, whose number has at most seven digits (proc(5), pid_max).
    longest = f"{folders.pop()}/session_2026-05-04_12-00-00_123456_4194304/sockets/plasma_store.1"
    assert len(longest) <= 107


@pytest.mark.parametrize("unit", MAXIMUM_EXPOSURE)
def test_unit_is_watched_and_never_given_up(unit: str) -> None:
    """Ready and alive are said by the service itself, and an end is always followed by a start."""
    text = (UNITS / unit).read_text()
    for line in ("Type=notify", "WatchdogSec=90", "Restart=always", "StartLimitIntervalSec=0", "User=dicom-node"):
        assert f"\n{line}\n" in text


def test_service_user_and_folders_are_made(
    systemd: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """sysusers.d and tmpfiles.d do what they say, tried on an empty root."""
    if os.geteuid() != 0:
        pytest.skip("only root may give folders to another user")
    (tmp_path / "etc").mkdir()
    users = (UNITS / "dicom-node.sysusers.conf").read_text()
    assert systemd("systemd-sysusers", f"--root={tmp_path}", "-", said=users).returncode == 0
    assert "dicom-node:" in (tmp_path / "etc" / "passwd").read_text()
    folders = (UNITS / "dicom-node.tmpfiles.conf").read_text()
    done = systemd("systemd-tmpfiles", f"--root={tmp_path}", "--create", "-", said=folders)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "var/lib/dicom-node").stat().st_mode & 0o777 == 0o750
