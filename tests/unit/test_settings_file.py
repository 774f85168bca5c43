"""A running process follows its configuration file."""

import logging
from pathlib import Path

import pytest

from config.restart import AT_NEXT_START, keys_at_next_start, settings_in_force
from config.settings import Settings
from dicom_node.settings_file import SettingsFile

PEER = '[[peers]]\nname = "{0}"\nae_title = "{0}"\nhost = "10.0.0.1"\nport = 104\n'


def opened(tmp_path: Path, text: str = "") -> tuple[Path, SettingsFile]:
    """The file, and the settings of a listener that were read from it."""
    path = tmp_path / "node.toml"
    path.write_text(text)
    return path, SettingsFile.opened(path, "listen")


def test_a_change_is_taken_up_once_it_stays(tmp_path: Path) -> None:
    """Half a file may have no mistake: one that still changes is not read."""
    path, file = opened(tmp_path, PEER.format("A") + PEER.format("B"))
    path.write_text("")
    assert not file.look()
    path.write_text(PEER.format("A") + PEER.format("C"))
    assert not file.look()
    assert [peer.name for peer in file.settings.peers] == ["A", "B"]
    assert file.look()
    assert [peer.name for peer in file.settings.peers] == ["A", "C"]
    assert not file.look()


def test_a_change_between_reading_and_looking_is_not_missed(tmp_path: Path) -> None:
    """The stamp is taken before the file is read."""
    path = tmp_path / "node.toml"
    path.write_text("")
    file = SettingsFile.opened(path, "work")
    path.write_text(PEER.format("A"))
    assert [file.look(), file.look()] == [False, True]


def test_a_file_with_mistakes_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line names every problem, once; the file is taken up when it is right again."""
    path, file = opened(tmp_path, PEER.format("A"))
    for text in ("[listen]\nport = 0.5\n[storage]\nfree_floor = 1\n", None):
        path.unlink() if text is None else path.write_text(text)
        with caplog.at_level(logging.INFO):
            assert [file.look() for _ in range(4)] == [False] * 4
        (said,) = [record.getMessage() for record in caplog.records]
        caplog.clear()
        assert "the old one stays" in said
        assert text is None or ("[listen].port" in said and "[storage].free_floor" in said)
        assert [peer.name for peer in file.settings.peers] == ["A"]
        assert file.problems
    path.write_text(PEER.format("B"))
    assert [file.look(), file.look(), file.problems] == [False, True, ()]


def test_what_needs_a_restart_is_named_and_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The rest of the same edit is taken up; the name goes away when the old value is back."""
    path, file = opened(tmp_path, "[listen]\nport = 11112\n")
    path.write_text("[listen]\nport = 104\nmaximum_associations = 3\n[listen.tls]\nport = 2763\n")
    with caplog.at_level(logging.WARNING):
        assert [file.look(), file.look()] == [False, True]
    assert file.needs_restart == ("[listen].port", "[listen.tls].port")
    assert "needs a restart: [listen].port, [listen.tls].port" in caplog.text
    listen = file.settings.listen
    assert (listen.port, listen.tls.port, listen.maximum_associations) == (11112, 2762, 3)
    path.write_text("[listen]\nport = 11112\nmaximum_associations = 3\n")
    file.look()
    file.look()
    assert file.needs_restart == ()


def test_every_named_key_is_one() -> None:
    """A key that is renamed is renamed here too; what a process keeps is what it started with."""
    started = Settings.model_validate({"node": {"ae_title": "OLD"}, "web": {"port": 1}})
    now = Settings.model_validate({"node": {"ae_title": "NEW"}, "web": {"port": 2}})
    for process, places in AT_NEXT_START.items():
        assert places
        in_force = settings_in_force(process, started, now)
        assert in_force.node.ae_title == "OLD"
        assert (in_force.web.port, "[web].port" in keys_at_next_start(process, started, now)) == (
            (1, True) if process == "web" else (2, False)
        )


def test_the_pages_see_a_change_at_once(tmp_path: Path) -> None:
    """Whoever saved it looks for it."""
    path, file = opened(tmp_path)
    path.write_text(PEER.format("A"))
    assert [peer.name for peer in file.current().peers] == ["A"]
