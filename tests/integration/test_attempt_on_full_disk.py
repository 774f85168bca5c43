"""A disk that is really full while attempts write into it: a file system of a few MiB in a mount namespace."""

import errno
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from builders.clock import FakeClock
from builders.index import build_index, make_ready, received, view_of
from config.settings import NodeSettings, PipelineSettings, Settings
from dicom_node.dispatch import Dispatcher
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.forking import ForkServer
from storage.errors import DiskError, DiskFailedError, DiskFullError, DiskReadOnlyError
from storage.files import ResultStore
from storage.index import Index
from storage.lifecycle import State

HERE = Path(__file__).parent
_MEBIBYTE = 2**20

_ATTEMPT = """
import sys
from dicom_node import fork_server, job
from dicom_node.results.write import Content, _put

def run_job(folder, source):
    (folder / "out").mkdir()
    {body}

job.run_job = run_job
sys.exit(fork_server.main(job.attempt))
"""
WRITES_4_MIB = _ATTEMPT.format(
    body='_put(folder / "out", Content(kind="masks", name="masks.npz", data=bytes(4 << 20)))'
)
"""As the results of a study are written."""

RAISES = _ATTEMPT.format(body='raise OSError(int((folder.parents[1] / "errno").read_text()), "refused")')
MEANINGS: dict[int, type[DiskError]] = {
    errno.ENOSPC: DiskFullError,
    errno.EDQUOT: DiskFullError,
    errno.EROFS: DiskReadOnlyError,
    errno.EIO: DiskFailedError,
}

_IN_NAMESPACE = 'mount -t tmpfs -o size=8m tmpfs "$1" && mkdir "$1/data" && exec "${@:2}"'


def engine_for(code: str) -> LocalEngine:
    """One whose attempts are forked from this program."""
    return LocalEngine(EngineLimits(time_limit_s=60, memory_limit_bytes=0), server=ForkServer(("-c", code)))


def dispatcher(data_dir: Path, index: Index, engine: LocalEngine) -> Dispatcher:
    """One that gives a study a single try."""
    settings = Settings(node=NodeSettings(data_dir=data_dir), pipeline=PipelineSettings(attempts=1))
    return Dispatcher(settings, index, results=ResultStore(data_dir), engine=engine)


def index_with_study(folder: Path) -> Index:
    """A study is ready."""
    index = build_index(folder, FakeClock())
    index.record_received([received()])
    make_ready(index)
    return index


def test_what_the_disk_refuses_to_an_attempt_is_said_of_the_disk(tmp_path: Path) -> None:
    """No study is at fault for it: it waits, its only try not counted. Of another error the study may be."""
    index, said = index_with_study(tmp_path), tmp_path / "errno"
    with closing(engine_for(RAISES)) as engine:
        works = dispatcher(tmp_path, index, engine)
        for number, meaning in MEANINGS.items():
            said.write_text(str(number))
            with pytest.raises(meaning):
                works.run_next(Event())
            assert view_of(index).state is State.READY
            assert list((tmp_path / "jobs").iterdir()) == []
        said.write_text(str(errno.ENAMETOOLONG))
        assert works.run_next(Event())
    view = view_of(index)
    assert (view.state, view.reason) == (State.PIPELINE_FAILED, "unexpected OSError: see job.log of the attempt")


@pytest.mark.parametrize("is_index_apart", [True, False], ids=["index elsewhere", "index on it"])
def test_a_full_disk_costs_no_study_a_try(tmp_path: Path, is_index_apart: bool) -> None:
    """What the attempt had written goes first: the index may be in want of the room."""
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody make a mount namespace (unshare -rm)")
    place = tmp_path / "disk"
    place.mkdir()
    index_dir = tmp_path if is_index_apart else place / "data"
    program = [sys.executable, "-c", _PROGRAM, place / "data", index_dir, HERE, HERE.parent]
    command = ["unshare", "-rm", "bash", "-c", _IN_NAMESPACE, "bash", place, *program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "ready: The disk of the data folder is full"), done.stderr


_PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from test_attempt_on_full_disk import attempt_without_room
attempt_without_room(*map(Path, sys.argv[1:3]))
"""


def attempt_without_room(data_dir: Path, index_dir: Path) -> None:
    """Run an attempt with less room than it needs; say where its study stands then, and why."""
    index = index_with_study(index_dir)
    with (data_dir / "ballast").open("wb") as ballast:
        ballast.write(bytes(5 * _MEBIBYTE + _MEBIBYTE // 4))
    with closing(engine_for(WRITES_4_MIB)) as engine, pytest.raises(DiskFullError):
        dispatcher(data_dir, index, engine).run_next(Event())
    view = view_of(index)
    sys.stdout.write(f"{view.state}: {view.reason.partition(';')[0]}")
