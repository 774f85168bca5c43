"""The history and the file are changed together, or neither is."""

import errno
from pathlib import Path

import pytest

from builders.clock import FakeClock
from dicom_node.configuring import Configuration, editing, file
from dicom_node.configuring.errors import NotWritableError
from dicom_node.configuring.history import ConfigHistory
from storage.errors import DiskFullError

PEER = {"name": "ct", "ae_title": "CT1", "host": "10.0.0.7", "port": 104}


@pytest.fixture
def edited(tmp_path: Path) -> Configuration:
    """A file beside its data folder, and one edit in its history."""
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "node.toml"
    path.write_text(f'[node]\ndata_dir = "{tmp_path}/data"\n')
    made = Configuration(path, clock=FakeClock())
    made.add_peer({**PEER, "name": "pacs", "ae_title": "PACS"}, by="anna")
    return made


def test_file_stays_as_it_is_where_its_history_cannot_be_written(
    edited: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a data folder without room: that nothing was written is so."""

    def without_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before, versions = edited.text(), edited.history()
    monkeypatch.setattr(ConfigHistory, "_write", without_room)
    with pytest.raises(DiskFullError):
        edited.add_peer(PEER, by="anna")
    assert (edited.text(), edited.history()) == (before, versions)


def test_version_that_did_not_come_into_force_is_not_in_the_history(
    edited: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next edit gets its number."""

    def refuse(path: Path, _: str) -> None:
        reason = f"{path} cannot be written"
        raise NotWritableError(reason)

    before, versions = edited.text(), edited.history()
    monkeypatch.setattr(editing, "replace_text", refuse)
    with pytest.raises(NotWritableError):
        edited.add_peer(PEER, by="anna")
    assert (edited.text(), edited.history()) == (before, versions)
    monkeypatch.setattr(editing, "replace_text", file.replace_text)
    assert edited.add_peer(PEER, by="anna").version == versions[0].number + 1
