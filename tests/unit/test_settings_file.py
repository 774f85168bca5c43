"""A running process follows its configuration file."""

import logging
import re
from pathlib import Path

import pytest

from config.load import settings_from_text
from config.restart import AT_NEXT_START, ON_A_CLUSTER, keys_at_next_start, settings_in_force
from config.settings import Settings
from dicom_node.cluster.plan import DriverPlan
from dicom_node.settings_file import SettingsFile

DOCS = Path(__file__).resolve().parents[2] / "docs"
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


LIMITS = 'device = "cpu"\ntime_limit_s = 60.0\nmemory_limit_bytes = 5\n'


def test_what_the_driver_of_a_cluster_was_told_is_named_when_it_changes() -> None:
    """It is told once: nothing of its plan changes in silence; what an attempt brings along is followed."""
    started = settings_from_text('[pipeline]\nengine = "ray"\n', name="node.toml")
    text = f'[ray]\nstudies_ahead = 3\n[pipeline]\nengine = "ray"\nattempts = 9\n{LIMITS}'
    now = settings_from_text(text, name="node.toml")
    assert keys_at_next_start("work", started, now) == (
        "[pipeline].device",
        "[pipeline].memory_limit_bytes",
        "[pipeline].time_limit_s",
        "[ray].studies_ahead",
    )
    in_force = settings_in_force("work", started, now)
    assert DriverPlan.of(in_force) == DriverPlan.of(started)
    assert in_force.pipeline.attempts == 9
    assert keys_at_next_start("web", started, now) == ()


def test_the_local_engine_follows_its_limits() -> None:
    """Also in an edit that asks for a cluster."""
    now = settings_from_text(f'[pipeline]\nengine = "ray"\n{LIMITS}', name="node.toml")
    assert keys_at_next_start("work", Settings(), now) == ("[pipeline].engine",)
    assert settings_in_force("work", Settings(), now).pipeline.time_limit_s == 60


def test_the_table_in_the_docs_is_the_one_of_the_code() -> None:
    """Every row, every key."""
    text = (DOCS / "configuring.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", text.partition("takes up at its next start |")[2], re.MULTILINE)
    table = {process: {_place(key) for key in re.findall(r"`(\[[^`]+)`", keys)} for process, keys in rows}
    of_all = frozenset.intersection(*AT_NEXT_START.values())
    assert table == {
        "all": of_all,
        "listener": AT_NEXT_START["listen"] - of_all,
        "worker": AT_NEXT_START["work"] - of_all,
        'worker with `engine = "ray"`': ON_A_CLUSTER["work"],
        "pages": AT_NEXT_START["web"] - of_all,
    }


def _place(key: str) -> str:
    """`listen.host` of `[listen].host`."""
    return key.replace("[", "").replace("]", "")


def test_the_pages_see_a_change_at_once(tmp_path: Path) -> None:
    """Whoever saved it looks for it."""
    path, file = opened(tmp_path)
    path.write_text(PEER.format("A"))
    assert [peer.name for peer in file.current().peers] == ["A"]
