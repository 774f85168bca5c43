"""Edits of the configuration file: comments stay, mistakes are not written, everything can be undone."""

import multiprocessing
import os
import stat
from importlib import resources
from pathlib import Path

import pytest

from builders.clock import FakeClock
from config.errors import ConfigError
from config.load import load_settings
from config.secrets import without_secrets
from dicom_node.clock import SystemClock
from dicom_node.configuring import Configuration
from dicom_node.configuring.blocks import blocks_in, text_of_blocks
from dicom_node.configuring.errors import (
    CannotEditError,
    ChangedMeanwhileError,
    NoFileError,
    NotWritableError,
    UnknownBlockError,
    UnknownVersionError,
)
from dicom_node.configuring.history import KEPT_VERSIONS

FILE = """\
# Our node, see the wiki.
[node]
ae_title = "DICOMNODE" # agreed with radiology

# One [[peers]] block each.
[[peers]]
name = "pacs"  # the old one
ae_title = "PACS"
host = "pacs.example.org"
port = 104
# query_port = 4242

# CT in the basement.
[[peers]]
name = "ct"
ae_title = "CT1"
host = "10.0.0.7"
port = 104
[[peers.series]]
# Only thin slices.
action = "only"
thickest_mm = 2.0

# Talkative while we look for the fault.
[log]
level = "DEBUG"
"""
MR = {"name": "mr", "ae_title": "MR1", "host": "10.0.0.9", "port": 104}


def configuration(tmp_path: Path, text: str = FILE) -> Configuration:
    """The configuration in a file with this text."""
    path = tmp_path / "node.toml"
    (tmp_path / "data").mkdir(exist_ok=True)
    with_data = text.replace('data_dir = "/var/lib/dicom-node"\n', "")
    with_data = with_data.replace("[node]", f'[node]\ndata_dir = "{tmp_path}/data"', 1)
    path.write_bytes(with_data.encode())
    return Configuration(path, clock=FakeClock())


def comments(text: str) -> list[str]:
    """Every comment of a text, in its order."""
    return [line[line.index("#") :] for line in text.splitlines() if "#" in line]


def test_an_added_peer_stands_behind_the_others_and_every_comment_stays(tmp_path: Path) -> None:
    """The comment of the next table stays with it."""
    edited = configuration(tmp_path)
    before = edited.text()
    edit = edited.add_peer({**MR, "completeness": {"quiet_period_s": 5.0}}, by="anna", comment="MR upstairs.")
    after = edited.text()
    assert [peer.name for peer in edit.settings.peers] == ["pacs", "ct", "mr"]
    assert comments(after) == [*comments(before)[:-1], "# MR upstairs.", comments(before)[-1]]
    assert after.index("MR upstairs") < after.index("# Talkative") < after.index("[log]")
    assert edited.settings().peers[2].completeness.quiet_period_s == 5.0


def test_the_first_peer_of_the_reference_file_is_added_at_its_end(tmp_path: Path) -> None:
    """The file that comes with the package can be edited like any other, all its comments kept."""
    text = resources.files("config").joinpath("node.toml").read_text(encoding="utf-8")
    edited = configuration(tmp_path, text)
    before = edited.text()
    edited.add_peer({**MR, "series": [{"action": "only", "kernel": ["B70*"]}]}, by="anna")
    assert edited.text().startswith(before.rstrip("\n"))
    assert edited.settings().peers[0].series[0].kernel == ("B70*",)


def test_a_changed_value_keeps_the_comments_around_it(tmp_path: Path) -> None:
    """A new key joins the values of its block, not the comment of the next one."""
    edited = configuration(tmp_path)
    before = edited.text()
    changes = {"name": "archive", "tls": True, "results": ["sr"], "receives_results": True}
    edited.change_peer("pacs", changes, by="anna")
    after = edited.text()
    assert comments(after) == comments(before)
    assert 'name = "archive"  # the old one' in after
    pacs, ct = edited.settings().peers
    assert (pacs.tls, pacs.results, ct.tls) == (True, ("sr",), False)
    assert after.index("tls = true") < after.index("# CT in the basement.")
    edited.change_peer("archive", {"tls": None}, by="anna")
    assert not edited.settings().peers[0].tls


def test_a_removed_peer_takes_its_own_comment_along(tmp_path: Path) -> None:
    """What stands above other blocks, or speaks of all, stays."""
    edited = configuration(tmp_path)
    edited.remove_peer("ct", by="anna")
    assert "basement" not in edited.text()
    assert "Only thin" not in edited.text()
    edited.remove_peer("pacs", by="anna")
    left = edited.text()
    assert [line for line in comments(left) if "wiki" not in line] == [
        "# agreed with radiology",
        "# One [[peers]] block each.",
        "# Talkative while we look for the fault.",
    ]
    assert edited.settings().peers == ()


def test_every_problem_is_reported_and_nothing_is_written(tmp_path: Path) -> None:
    """By the settings that the node itself reads."""
    edited = configuration(tmp_path)
    before = edited.text()
    with pytest.raises(ConfigError) as caught:
        edited.add_peer({"name": "ct", "ae_title": "A\\B", "host": "a b", "port": 0, "prot": 1}, by="anna")
    assert [problem.key for problem in caught.value.problems] == [
        "[peers #3].ae_title",
        "[peers #3].host",
        "[peers #3].port",
        "[peers #3].prot",
        "[peers #3].name",
    ]
    assert edited.text() == before
    assert edited.history() == ()


def test_a_file_that_would_come_out_wrong_is_left_alone(tmp_path: Path) -> None:
    """An array of inline tables has no blocks to edit; said, not guessed."""
    inline = 'peers = [{name = "a", ae_title = "A", host = "h", port = 1}]\n[node]\n'
    edited = configuration(tmp_path, inline)
    before = edited.text()
    with pytest.raises(ConfigError):
        edited.add_peer(MR, by="anna")
    with pytest.raises(CannotEditError):
        edited.remove_peer("a", by="anna")
    assert edited.text() == before


def test_headers_inside_long_strings_are_no_blocks() -> None:
    """Only the table that TOML sees is one."""
    text = 'a = """\n[[peers]]\n"""\n[[peers]]\nname = "x"\n[peers.completeness]\n[log]\n'
    (block,) = blocks_in(text, "peers")
    assert (block.start, block.end) == (3, 6)


def test_each_version_is_kept_and_can_be_restored(tmp_path: Path) -> None:
    """Also the one before the first edit; a restored version is itself undone by another restore."""
    edited = configuration(tmp_path)
    original = edited.text()
    edited.add_peer(MR, by="anna")
    with_mr = edited.text()
    assert [(v.number, v.by, v.what, v.is_current) for v in edited.history()] == [
        (2, "anna", "peer mr added", True),
        (1, "", "changed by hand, or by another program", False),
    ]
    edited.restore(1, by="bert")
    assert edited.text() == original
    assert edited.history()[0].what == "version 1 restored"
    edited.restore(2, by="bert")
    assert edited.text() == with_mr
    with pytest.raises(UnknownVersionError):
        edited.restore(17, by="bert")


def test_a_change_by_hand_joins_the_history_with_the_next_edit(tmp_path: Path) -> None:
    """Nothing that was in the file is lost by an edit."""
    edited = configuration(tmp_path)
    edited.add_peer(MR, by="anna")
    edited.path.write_text(edited.text() + "# by hand\n")
    edited.remove_peer("mr", by="anna")
    assert [(version.by, version.what) for version in edited.history()][:2] == [
        ("anna", "peer mr removed"),
        ("", "changed by hand, or by another program"),
    ]
    assert "+# by hand" in edited.difference(2, 3)


def test_the_history_keeps_a_bounded_number(tmp_path: Path) -> None:
    """The oldest go first."""
    edited = configuration(tmp_path)
    for port in range(1000, 1000 + KEPT_VERSIONS + 3):
        edited.change_peer("pacs", {"port": port}, by="anna")
    numbers = [version.number for version in edited.history()]
    assert len(numbers) == KEPT_VERSIONS
    assert numbers[0] == KEPT_VERSIONS + 4 and min(numbers) == 5


def test_secrets_are_in_no_listing_and_no_difference(tmp_path: Path) -> None:
    """Neither values nor comments nor passwords in addresses."""
    edited = configuration(tmp_path, FILE + '[storage]\ndatabase_url = "postgresql://node:hunter2@db/index"\n')
    edited.add_peer(MR, by="anna")
    edited.path.write_text(edited.text().replace("hunter2", "hunter3") + '# smtp_password = "hunter4"\n')
    edited.remove_peer("mr", by="anna")
    shown = edited.difference(1) + edited.difference(2, 3) + str(edited.history())
    assert "hunter" not in shown
    assert "smtp_password = ***" in shown
    folder = tmp_path / "data" / "config-history"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o640}


@pytest.mark.parametrize(
    "line",
    [
        'password = "hunter2"',
        "smtp_password='hunter2' # old: token = hunter2",
        'a = { api_token = "hunter2", b = 1 }',
        'secret = """\nhunter2\nhunter2"""',
        '#webhook_secret = "hunter2"',
        "url = 'https://u:hunter2@host/x'",
        '"password" = "hunter2 \\" hunter2"',
    ],
)
def test_every_way_to_write_a_secret_is_hidden(line: str) -> None:
    """Whether this version knows the key or not."""
    assert "hunter2" not in without_secrets(line)


def test_mode_and_link_of_the_file_stay(tmp_path: Path) -> None:
    """Configuration managers put links; the service reads by its group."""
    edited = configuration(tmp_path)
    edited.path.chmod(0o604)
    link = tmp_path / "link.toml"
    link.symlink_to(edited.path)
    Configuration(link, clock=FakeClock()).add_peer(MR, by="anna")
    assert link.is_symlink()
    assert stat.S_IMODE(edited.path.stat().st_mode) == 0o604
    assert [path.name for path in tmp_path.glob(".node.toml.*")] == [".node.toml.lock"]


def test_line_ends_of_windows_stay(tmp_path: Path) -> None:
    """Whoever edits there finds their file again."""
    edited = configuration(tmp_path, FILE.replace("\n", "\r\n"))
    edited.add_peer(MR, by="anna")
    edited.change_peer("ct", {"port": 105}, by="anna")
    block = edited.text()[edited.text().index("MR1") - 40 :]
    assert block.count("\n") == block.count("\r\n")
    assert edited.settings().peers[2].name == "mr"


def test_an_editor_who_saw_another_file_is_refused(tmp_path: Path) -> None:
    """The page was open for an hour; nothing of the other's work is lost."""
    edited = configuration(tmp_path)
    seen = edited.sha256()
    edit = edited.add_peer(MR, by="anna", expected_sha256=seen)
    with pytest.raises(ChangedMeanwhileError):
        edited.remove_peer("ct", by="bert", expected_sha256=seen)
    edited.remove_peer("ct", by="bert", expected_sha256=edit.sha256)
    assert [peer.name for peer in edited.settings().peers] == ["pacs", "mr"]


def add_many(path: Path, letter: str) -> None:
    """Add ten peers, as a process of its own."""
    edited = Configuration(path, clock=SystemClock())
    for number in range(10):
        name = f"{letter}{number}"
        edited.add_peer({"name": name, "ae_title": name, "host": "h", "port": 104}, by=letter)


def test_editors_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Three processes add ten peers each; all are there, each edit is in the history."""
    edited = configuration(tmp_path)
    context = multiprocessing.get_context("fork")
    editors = [context.Process(target=add_many, args=(edited.path, letter)) for letter in "abc"]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join(60)
    assert [editor.exitcode for editor in editors] == [0, 0, 0]
    assert len(edited.settings().peers) == 32
    assert len(edited.history()) == 31


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """With what is."""
    edited = configuration(tmp_path)
    with pytest.raises(UnknownBlockError, match="it has: pacs, ct"):
        edited.remove_peer("pasc", by="anna")
    with pytest.raises(NoFileError, match="dicom-node init"):
        Configuration(tmp_path / "absent.toml", clock=FakeClock())
    assert load_settings(edited.path).peers[0].name == "pacs"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_named(tmp_path: Path) -> None:
    """The error says who tried, and what helps."""
    edited = configuration(tmp_path)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(NotWritableError, match="sudo"):
            edited.remove_peer("ct", by="anna")
    finally:
        tmp_path.chmod(0o700)


RULES = """\
# First.
[[rule]]
name = "a"
[rule.match]
modality = "CT"  # only

[[rule]]
name = "b"
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_blocks_are_replaced_where_they_stand_and_nothing_else_changes(tmp_path: Path, newline: str) -> None:
    """With the comments that they bring; a text with none takes them out."""
    edited = configuration(tmp_path, FILE.replace("\n", newline))
    before = edited.text()
    edited.replace_blocks("rule", RULES, by="anna")
    with_rules = edited.text()
    assert with_rules == before.rstrip("\r\n") + newline * 2 + RULES.replace("\n", newline)
    assert text_of_blocks(with_rules, "rule") == RULES
    edited.replace_blocks("rule", "", by="anna")
    assert edited.text() == before.rstrip("\r\n") + newline
    assert edited.settings().rule == ()
