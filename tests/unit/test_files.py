"""Files below the data folder."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from builders.index import result_files
from storage.errors import DataFolderInUseError, DiskError, DiskFailedError, DiskFullError, DiskReadOnlyError
from storage.files import ObjectStore, ResultStore, StoredObject
from storage.locks import lock_data_dir
from storage.records import ResultFile


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty store."""
    return ObjectStore(tmp_path)


def keep(store: ObjectStore, *pieces: bytes | bytearray | memoryview) -> StoredObject:
    """Receive a file."""
    part = store.new_part()
    try:
        for piece in pieces:
            part.write(piece)
        return store.commit(part)
    finally:
        part.discard()


def record_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every sync and rename of the process, in order, with what it was done to; the calls happen as ever."""
    calls: list[tuple[str, str]] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        calls.append(("fsync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        real_fsync(descriptor)

    def rename(source: Path, target: Path) -> None:
        calls.append(("rename", str(target)))
        real_rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    return calls


def failing(code: int) -> Callable[..., Any]:
    """A system call that fails."""

    def call(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


def test_an_object_lies_under_the_hash_of_its_content(store: ObjectStore, tmp_path: Path) -> None:
    """The name says what must be in it."""
    stored = keep(store, b"image")
    digest = sha256(b"image").hexdigest()
    assert stored == StoredObject(
        relative_path=f"objects/{digest[:2]}/{digest}.dcm", sha256=digest, size_bytes=len(b"image")
    )
    assert (tmp_path / stored.relative_path).read_bytes() == b"image"
    assert store.absolute_path(stored.relative_path) == tmp_path / stored.relative_path


def test_pieces_of_any_buffer_add_up(store: ObjectStore) -> None:
    """The reader of the network hands over whatever it has."""
    stored = keep(store, b"im", bytearray(b"a"), memoryview(b"xgex")[1:3])
    assert store.absolute_path(stored.relative_path).read_bytes() == b"image"
    assert stored.sha256 == sha256(b"image").hexdigest()


def test_content_is_synced_before_the_name_and_the_name_before_the_answer(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync of the file, then rename, then fsync of the folder."""
    calls = record_calls(monkeypatch)
    keep(store, b"image")
    assert [name for name, _ in calls] == ["fsync", "rename", "fsync"]
    part, place, folder = (target for _, target in calls)
    assert part.endswith(".part")
    assert folder == str(Path(place).parent)


def test_the_same_content_twice_is_one_object(store: ObjectStore, tmp_path: Path) -> None:
    """Which everybody may then read."""
    assert keep(store, b"same") == keep(store, b"same")
    assert len(list(tmp_path.glob("objects/*/*"))) == 1


def test_a_file_that_is_not_committed_is_gone(store: ObjectStore, tmp_path: Path) -> None:
    """An aborted association leaves nothing."""
    part = store.new_part()
    part.write(b"half")
    assert list(tmp_path.glob("incoming/*"))
    part.discard()
    part.discard()
    assert not list(tmp_path.glob("incoming/*"))
    assert not list(tmp_path.glob("objects/*/*"))


def test_the_sweep_removes_what_was_not_received_whole(store: ObjectStore, tmp_path: Path) -> None:
    """After a crash the next start clears up, and touches nothing else."""
    kept = keep(store, b"whole")
    (tmp_path / "incoming" / "crashed.part").write_bytes(b"half")
    assert store.sweep() == 1
    assert not list(tmp_path.glob("incoming/*"))
    assert (tmp_path / kept.relative_path).exists()


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EIO, DiskFailedError),
        (errno.EROFS, DiskReadOnlyError),
        (errno.EMFILE, DiskError),
    ],
)
@pytest.mark.parametrize("call", ["writev", "fsync", "rename"])
def test_a_failing_disk_is_said_in_our_words(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, *, call: str, code: int, meaning: type[DiskError]
) -> None:
    """Whichever step fails, nothing is acknowledged and the store works again afterwards."""
    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing(code))
        with pytest.raises(meaning) as failure:
            keep(store, b"image")
    assert type(failure.value) is meaning
    assert errno.errorcode[code] in str(failure.value)
    assert keep(store, b"image")


def test_a_failing_sync_fails_its_own_object_and_leaves_nothing(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is not tried again on the same file, and what another association brings meanwhile is kept."""
    real_fsync, synced = os.fsync, []

    def fsync(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 1:
            raise OSError(errno.EIO, "")
        real_fsync(descriptor)

    other = store.new_part()
    other.write(b"two")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DiskFailedError):
        keep(store, b"one")
    assert len(synced) == 1
    kept = store.commit(other)
    assert not list(tmp_path.glob("incoming/*"))
    assert list(tmp_path.glob("objects/*/*")) == [tmp_path / kept.relative_path]


def test_files_and_folders_are_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    """They hold a patient's data."""
    before = os.umask(0)
    try:
        store = ObjectStore(tmp_path / "data")
        keep(store, b"image")
    finally:
        os.umask(before)
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").rglob("*")}
    assert modes == {True: 0o750, False: 0o640}


def test_free_room_is_what_the_service_user_may_fill(store: ObjectStore, tmp_path: Path) -> None:
    """The floor of the configuration is compared with it."""
    volume = os.statvfs(tmp_path)
    assert 0 < store.free_bytes() <= volume.f_frsize * volume.f_bfree


def draft(folder: Path, content: bytes = b"report") -> tuple[ResultFile, ...]:
    """A finished result set in a folder of its own."""
    folder.mkdir()
    files = tuple(ResultFile(kind=file.kind, path=folder / file.path.name, sha256="") for file in result_files())
    for file in files:
        file.path.write_bytes(content)
    return files


def test_a_result_set_moves_into_place_as_a_whole(tmp_path: Path) -> None:
    """Folder of the study, then of the revision."""
    files = draft(tmp_path / "out")
    store = ResultStore(tmp_path)
    kept = store.keep(tmp_path / "out", files, study_instance_uid="1.2.3", revision=2)
    place = tmp_path / "results" / sha256(b"1.2.3").hexdigest()[:32] / "r2"
    assert [file.path for file in kept] == [place / file.path.name for file in files]
    assert all(file.path.read_bytes() == b"report" for file in kept)
    assert not (tmp_path / "out").exists()


def test_a_result_set_is_synced_file_by_file_then_folder_then_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is registered in the index afterwards cannot be lost to a power cut."""
    files = draft(tmp_path / "out")
    ResultStore(tmp_path).keep(tmp_path / "out", files, study_instance_uid="1.2.3", revision=1)
    again = draft(tmp_path / "out")
    calls = record_calls(monkeypatch)
    kept = ResultStore(tmp_path).keep(tmp_path / "out", again, study_instance_uid="1.2.3", revision=2)
    folder = kept[0].path.parent
    assert {target for _, target in calls[:2]} == {str(file.path) for file in again}
    assert calls[2:] == [("fsync", str(tmp_path / "out")), ("rename", str(folder)), ("fsync", str(folder.parent))]


def test_a_result_set_never_replaces_another(tmp_path: Path) -> None:
    """The one that is there may be registered and sent; a worker that lost its lease cannot change it."""
    store = ResultStore(tmp_path)
    first = store.keep(tmp_path / "a", draft(tmp_path / "a", b"first"), study_instance_uid="1.2.3", revision=1)
    second = store.keep(tmp_path / "b", draft(tmp_path / "b", b"second"), study_instance_uid="1.2.3", revision=1)
    assert first[0].path.read_bytes() == b"first"
    assert second[0].path.read_bytes() == b"second"


def test_a_uid_from_the_wire_steers_no_path(tmp_path: Path) -> None:
    """DCMTK's CVE-2022-2119 was such a path."""
    store = ResultStore(tmp_path)
    kept = store.keep(tmp_path / "out", draft(tmp_path / "out"), study_instance_uid="../../etc", revision=1)
    assert kept[0].path.is_relative_to(tmp_path / "results")


def test_a_second_process_in_a_role_is_refused(tmp_path: Path) -> None:
    """Two listeners on one folder would sweep each other's files; another role is free."""
    script = f"import storage.locks, pathlib\nwith storage.locks.lock_data_dir(pathlib.Path({str(tmp_path)!r}), 'listen'): pass"
    with lock_data_dir(tmp_path, "listen"), lock_data_dir(tmp_path, "work"):
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert other.returncode != 0
    assert f"listen runs as process {os.getpid()}" in other.stderr


def test_a_role_is_free_again_when_its_process_is_gone(tmp_path: Path) -> None:
    """A stale lock file keeps nobody out."""
    with lock_data_dir(tmp_path, "listen"), pytest.raises(DataFolderInUseError), lock_data_dir(tmp_path, "listen"):
        pass
    with lock_data_dir(tmp_path, "listen"):
        assert (tmp_path / "listen.lock").read_text() == f"{os.getpid()}\n"
