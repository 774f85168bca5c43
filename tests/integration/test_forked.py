"""Programs that tests fork are as those that a shell starts."""

import signal
import subprocess
import sys
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from builders.deadline import until
from builders.forked import ForkedProcess, run_forked, start_forked
from builders.node import NodeProcess


def started(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a shell starts it, by an interpreter of its own, which imports what it uses."""
    return subprocess.run([sys.executable, "-m", "dicom_node", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def listener(tmp_path: Path) -> ForkedProcess:
    """A listener, as soon as it says anything."""
    config, log = tmp_path / "node.toml", tmp_path / "log"
    config.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n[listen]\nport = 0\n')
    with log.open("wb") as stream:
        running = start_forked("--config", str(config), "listen", outputs=(stream.fileno(), stream.fileno()))
    until(lambda: log.stat().st_size or running.poll() is not None, within_s=60, what="the listener speaks")
    assert running.poll() is None, log.read_text()
    return running


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("study", "--help"),
        ("nonsense",),
        ("--config", "missing.toml", "status"),
        ("infer", ".", "--out"),
    ],
)
def test_a_forked_command_says_and_ends_as_one_that_is_started(arguments: tuple[str, ...]) -> None:
    """Stdout, stderr and exit code."""
    forked, other = run_forked(*arguments, timeout_s=60), started(*arguments)
    assert (forked.returncode, forked.stdout, forked.stderr) == (other.returncode, other.stdout, other.stderr)


def test_it_has_the_folder_and_the_environment_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both as they are when it is asked for, not when its server began."""
    (tmp_path / "here.toml").write_text("[listen]\nprot = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DICOM_NODE_CONFIG", "here.toml")
    assert "[listen].prot: is not a setting" in run_forked("check", timeout_s=60).stderr


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_signals_reach_it_and_its_end_is_told(listener: ForkedProcess, sent: int, code: int) -> None:
    """As a service manager sees it."""
    listener.send_signal(sent)
    assert listener.wait(60) == code
    assert listener.poll() == code
    assert not Path(f"/proc/{listener.pid}").exists()


def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """With the exception of `subprocess.run`."""
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n[listen]\nport = 0\n')
    with pytest.raises(TimeoutExpired):
        run_forked("--config", str(config), "listen", timeout_s=1)


def test_it_has_one_thread_and_no_descriptor_of_others_to_begin_with(listener: ForkedProcess) -> None:
    """The pipe and the sockets of its server are closed in it: who waits for their end waits in vain otherwise."""
    parent = int(Path(f"/proc/{listener.pid}/stat").read_text().rpartition(")")[2].split()[1])
    theirs = {str(path.readlink()) for path in Path(f"/proc/{parent}/fd").iterdir()}
    ours = {str(path.readlink()) for path in Path(f"/proc/{listener.pid}/fd").iterdir()}
    shared = {name for name in theirs & ours if name.startswith(("socket:", "pipe:"))}
    listener.kill()
    listener.wait(60)
    assert not shared


@pytest.mark.parametrize("by_interpreter", [True, False])
def test_a_node_that_is_measured_has_interpreters_of_its_own(tmp_path: Path, by_interpreter: bool) -> None:
    """Its memory is what its services need, not what the server of programs has loaded."""
    with NodeProcess(folder=tmp_path, parts=("listen",), by_interpreter=by_interpreter) as node:
        mapped = Path(f"/proc/{node.pid('listen')}/maps").read_text()
    assert ("libtorch" in mapped) is not by_interpreter
