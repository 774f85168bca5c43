"""Who may edit the configuration: after root gave folder and file away, the service does; else it is told beforehand."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.other_user import NOBODY, as_service
from dicom_node.configuring import Configuration
from dicom_node.configuring.errors import NotWritableError
from storage.errors import DiskError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def edited() -> Iterator[Configuration]:
    """A configuration that root edited once, in a folder that everybody may enter; data and history are the service's."""
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), Path(name) / "data"
        folder.chmod(0o755)
        (folder / "etc").mkdir(mode=0o755)
        os.chown(folder / "etc", 0, NOBODY)
        data.mkdir()
        os.chown(data, NOBODY, NOBODY)
        path = folder / "etc" / "node.toml"
        path.write_text(f'[node]\ndata_dir = "{data}"\n')
        path.chmod(0o644)
        configuration = Configuration(path, clock=FakeClock())
        add_peer(configuration, "first")
        yield configuration


def add_peer(configuration: Configuration, name: str) -> None:
    """An edit."""
    block = {"name": name, "ae_title": name.upper(), "host": "10.0.0.6", "port": 104}
    configuration.add_peer(block, by="ann")


def give_away(*paths: Path) -> None:
    """As the documented commands do."""
    for path in paths:
        os.chown(path, NOBODY, NOBODY)


def test_after_folder_and_file_were_given_to_the_service_it_edits_them(edited: Configuration) -> None:
    """Although the lock beside the file is root's, who made it; and root edits it afterwards, as before."""
    give_away(edited.path.parent, edited.path)
    with as_service():
        assert edited.is_writable()
        add_peer(edited, "second")
    add_peer(edited, "third")
    with as_service():
        assert edited.is_writable()
        add_peer(edited, "fourth")


@pytest.mark.parametrize("lacking", ["folder", "file", "group", "lock", "history"])
def test_what_cannot_be_edited_is_said_so_before_anybody_tries(edited: Configuration, lacking: str) -> None:
    """Each thing that is needed, taken away by itself."""
    needed = {"folder": edited.path.parent, "file": edited.path}
    give_away(*(path for name, path in needed.items() if name != lacking))
    lock = edited.path.with_name(".node.toml.lock")
    if lacking == "group":
        os.chown(edited.path, NOBODY, 0)
    if lacking == "lock":
        lock.chmod(0o600)
    if lacking == "history":
        (edited.path.parent.parent / "data" / "config-history").chmod(0o500)
    with as_service():
        assert not edited.is_writable()
        with pytest.raises((NotWritableError, DiskError)):
            add_peer(edited, "second")
