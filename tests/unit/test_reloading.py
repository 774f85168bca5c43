"""What of a changed configuration takes effect in a process, and when."""

import os
import time
from pathlib import Path

from config import load_settings
from config.changes import changed_keys
from dicom_node.listen.services import LISTENER
from dicom_node.reloading import Reloading
from dicom_node.settings_file import SettingsFile
from dicom_node.work import WORKER

PEER = '[[peers]]\nname = "a"\nae_title = "A"\nhost = "127.0.0.1"\nport = 104\n'


def write(path: Path, text: str, *, age_s: float = 60) -> None:
    """A file that was written so long ago."""
    path.write_text(f'[node]\ndata_dir = "{path.parent}"\n{text}')
    at_s = time.time() - age_s
    os.utime(path, (at_s, at_s))


def test_some_values_take_effect_and_others_wait_by_name(tmp_path: Path) -> None:
    """The settings in force keep what waits as it was."""
    path = tmp_path / "node.toml"
    write(path, "")
    file = SettingsFile(path, load_settings(path))
    listener, worker = Reloading(file, LISTENER), Reloading(file, WORKER)
    write(path, f"[listen]\nport = 1234\nmaximum_associations = 7\n[pipeline]\nattempts = 2\n{PEER}", age_s=50)
    assert listener.look()
    assert worker.look()
    assert not listener.look()
    assert [peer.name for peer in listener.settings.peers] == ["a"]
    assert listener.settings.listen.maximum_associations == 7
    assert listener.settings.listen.port == 11112
    assert listener.note == "restart needed for listen.port"
    assert (worker.settings.pipeline.attempts, worker.settings.listen.port, worker.note) == (2, 11112, "")


def test_what_waited_waits_no_more_when_it_is_taken_back(tmp_path: Path) -> None:
    """Nothing changed then, and nothing is said to have."""
    path = tmp_path / "node.toml"
    write(path, "")
    listener = Reloading(SettingsFile(path, load_settings(path)), LISTENER)
    write(path, "[listen]\nbacklog = 77\n", age_s=50)
    assert not listener.look()
    assert listener.waiting == ("listen.backlog",)
    write(path, "", age_s=40)
    assert not listener.look()
    assert listener.note == ""


def test_a_file_that_was_just_written_is_left_alone(tmp_path: Path) -> None:
    """Half of a file may be valid, and know fewer peers."""
    path = tmp_path / "node.toml"
    write(path, PEER)
    listener = Reloading(SettingsFile(path, load_settings(path)), LISTENER)
    write(path, "", age_s=0)
    assert not listener.look()
    write(path, "", age_s=2)
    assert listener.look()


def test_a_file_that_is_gone_or_wrong_changes_nothing(tmp_path: Path) -> None:
    """Until it is there again, without mistakes."""
    path = tmp_path / "node.toml"
    write(path, PEER)
    listener = Reloading(SettingsFile(path, load_settings(path)), LISTENER)
    path.unlink()
    assert not listener.look()
    write(path, "[listen]\nport = 'x'\n")
    assert not listener.look()
    write(path, "", age_s=10)
    assert listener.look()
    assert not listener.settings.peers


def test_changed_keys_are_named_with_their_tables(tmp_path: Path) -> None:
    """Also in tables within tables."""
    path = tmp_path / "node.toml"
    write(path, "")
    before = load_settings(path)
    write(path, f'[listen]\nbacklog = 5\n[log]\nlevel = "DEBUG"\n{PEER}')
    assert changed_keys(before, load_settings(path)) == ("listen.backlog", "log.level", "peers")
