"""What whoever helps gets to see, and what not."""

import json
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builders.clock import FakeClock
from builders.index import build_index, database_url, received
from builders.two_patients import johns
from dicom_node.cli.app import app
from dicom_node.support import parts
from dicom_node.support.logs import lines_from_journal
from dicom_node.support.scrubbing import REMOVED, Scrubber
from storage.database import open_engine
from storage.known_words import KnownWords, known_words
from storage.records import PatientKey

HEAD = "2026-01-02T12:00:00.000Z INFO dicom_node.listen.server"
KNOWN = KnownWords(words=frozenset({"quimby", "4711", "x"}), study_instance_uids=frozenset({"1.2.3.4"}))
SECRET = "s3cret-of-the-site"


def scrubbed(line: str) -> str | None:
    """One line."""
    return Scrubber(KNOWN).line(line)


@pytest.mark.parametrize(
    "said", ["patient Quimby^Fred", "QUIMBY", "id=4711;", "'quimby'", "/data/Quimby/x.dcm", "a-4711-b", "quimby_fred"]
)
def test_a_word_of_the_index_is_struck_out_wherever_it_stands(said: str) -> None:
    """Whatever is around it, in any case."""
    line = scrubbed(f"{HEAD}: {said}")
    assert line is not None
    assert REMOVED in line
    assert not [word for word in ("quimby", "4711") if word in line.casefold()]


def test_words_that_only_contain_one_stay() -> None:
    """Otherwise nothing could be read."""
    line = f"{HEAD}: 14711 objects, quimbys, 10.0.0.7, version 2.11.0, 12.5 s"
    assert scrubbed(line) == line


@pytest.mark.parametrize("uid", ["1.2.840.113619.2.55.3", "2.25.1.2.3.4", "1.2.3.4", "1.2.840.4711"])
def test_a_uid_is_a_hash_that_is_the_same_each_time(uid: str) -> None:
    """So that lines about one study are found; an address stays an address."""
    line = scrubbed(f"{HEAD}: study {uid} and {uid}.")
    assert line is not None
    assert uid not in line
    one, other = line.removeprefix(f"{HEAD}: study ").rstrip(".").split(" and ")
    assert one == other
    assert one.startswith("uid-")


@pytest.mark.parametrize(
    "line",
    [
        "Warning: something in C said Quimby",
        "Traceback (most recent call last):",
        f"{HEAD}: M\u00fcller",
        f"{HEAD}: M\\u00fcller",
        '{"at": "now", "level": "INFO", "logger": "a", "message": "b", "name": "Quimby"}',
        "",
    ],
)
def test_what_is_not_a_line_of_this_log_does_not_pass(line: str) -> None:
    """Nobody vouches for it."""
    scrubber = Scrubber(KNOWN)
    assert scrubber.lines([line, f"{HEAD}: fine"]) == [f"{HEAD}: fine"]
    assert scrubber.left_out == 1


def test_lines_for_collectors_and_of_the_journal_are_read() -> None:
    """In both the message is scrubbed."""
    said = {"at": "2026-01-02T12:00:00.000Z", "level": "INFO", "logger": "a.b", "message": "Quimby came"}
    assert scrubbed(json.dumps(said)) == f"2026-01-02T12:00:00.000Z INFO a.b: {REMOVED} came"
    entry = {"__REALTIME_TIMESTAMP": "1767355200000000", "PRIORITY": "4", "LOGGER": "a.b", "MESSAGE": "low"}
    foreign = {"__REALTIME_TIMESTAMP": "1767355200000000", "PRIORITY": "4", "MESSAGE": "Quimby"}
    entries = [json.dumps(entry), json.dumps(foreign), "no json"]
    assert list(lines_from_journal(entries)) == ["2026-01-02T12:00:00.000Z WARNING a.b: low"]


def test_what_the_node_said_to_stderr_is_read_from_the_journal() -> None:
    """With [log].format = "json", or where the journal took no fields; what another program said there is not."""
    said = {"at": "2026-01-02T12:00:00.000Z", "level": "ERROR", "logger": "a.b", "message": "Quimby came"}
    foreign = {"name": "Quimby", "MESSAGE": "x"}
    messages = [json.dumps(said), json.dumps(foreign), "dicom_node.work: low", "gdcm: Quimby", ["bytes"]]
    entry = {"__REALTIME_TIMESTAMP": "1767355200000000", "PRIORITY": "6"}
    lines = lines_from_journal([json.dumps(entry | {"MESSAGE": message}) for message in messages])
    assert Scrubber(KNOWN).lines(lines) == [
        f"2026-01-02T12:00:00.000Z ERROR a.b: {REMOVED} came",
        "2026-01-02T12:00:00.000Z INFO dicom_node.work: low",
    ]


def test_the_index_knows_names_ids_dates_and_numbers(tmp_path: Path) -> None:
    """Short parts are left, a short ID is not."""
    index = build_index(tmp_path, FakeClock())
    index.record_received(
        [
            received(
                "1.2.9",
                patient=PatientKey(patient_id="AB-123", issuer=""),
                patient_name="Quimby^Al^von=\u5c71",
                accession_number="7",
                birth_date="19130713",
            )
        ]
    )
    known = known_words(open_engine(database_url(tmp_path)))
    assert known.words == {"123", "quimby", "von", "7", "19130713"}
    assert known.study_instance_uids == {"1.2.9"}


def test_the_index_knows_what_images_of_another_patient_say(tmp_path: Path) -> None:
    """They stand in no row of a study."""
    build_index(tmp_path, FakeClock()).record_received([received(), johns(2, accession_number="J771")])
    assert {"john", "19600102", "0815", "j771"} <= known_words(open_engine(database_url(tmp_path))).words


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node with a study of Quimby's, a log and secrets."""
    (tmp_path / "failed-attempts").mkdir()
    (tmp_path / "failed-attempts" / "1.log").write_text(f"Quimby in C\n{HEAD}: attempt of Quimby 1.2.840.99.1.2\n")
    build_index(tmp_path, FakeClock()).record_received([received(patient_name="Quimby^Fred")])
    secrets = f'[web]\nlogin = true\n[storage]\ndatabase_url = "sqlite:///{tmp_path}/index.sqlite"\n'
    comment = f'# password = "{SECRET}", and Quimby called\n'
    (tmp_path / "node.toml").write_text(
        f'{comment}[node]\ndata_dir = "{tmp_path}"\n{secrets}[pipeline]\ndevice = "cpu"\n'
    )
    return tmp_path


def bundle(node: Path, *options: str) -> dict[str, str]:
    """Texts of a new bundle."""
    path = node / "bundle.tar.gz"
    command = ["--config", str(node / "node.toml"), "support-bundle", "--to", str(path), "--json"]
    done = CliRunner().invoke(app, [*command, *options])
    assert done.exit_code == 0, done.output
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        members = {name: archive.extractfile(name) for name in archive.getnames()}
        texts = {name.partition("/")[2]: file.read().decode() for name, file in members.items() if file}
    listed = {file["name"] for file in json.loads(done.stdout)["files"]}
    assert listed | {"CONTENTS.txt"} == set(texts)
    assert all(name in texts["CONTENTS.txt"] for name in listed)
    return texts


def test_a_bundle_says_how_the_node_is_and_names_nobody(node: Path) -> None:
    """Configuration, versions, check, status, database, disk, units, logs."""
    texts = bundle(node)
    assert "node.ae_title" in texts["configuration.txt"]
    assert "torch" in json.loads(texts["versions.json"])["packages"]
    assert "data folder" in texts["check.txt"]
    assert json.loads(texts["status.json"])["studies"]["receiving"] == 1
    assert "integrity: ok" in texts["database.txt"]
    assert "study: 1 rows" in texts["database.txt"]
    assert f"attempt of {REMOVED} uid-" in texts["logs/failed-attempt-1.txt"]
    whole = "".join(texts.values())
    assert not [word for word in ("quimby", "1.2.840.99.1.2", SECRET) if word in whole.casefold()]


def test_the_logs_of_the_driver_of_a_cluster_are_in_it(node: Path) -> None:
    """The driver that runs, and the one before it; what Ray says in C is not."""
    for name in ("ray-driver.log", "ray-driver.log.1"):
        (node / name).write_text(f"Quimby in C\n{HEAD}: {name} of Quimby\n")
    texts = bundle(node)
    for name in ("ray-driver.log", "ray-driver.log.1"):
        assert f"{name} of {REMOVED}" in texts[f"logs/{name}.txt"]
        assert "in C" not in texts[f"logs/{name}.txt"]


def test_a_part_that_cannot_be_made_takes_no_other_with_it(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was raised; its class is said, its text may quote a value."""

    said = "of Quimby"

    def broken(*_: object, **__: object) -> None:
        raise AttributeError(said)

    monkeypatch.setattr(parts, "run_checks", broken)
    monkeypatch.setattr(parts, "node_status", broken)
    texts = bundle(node)
    assert texts["check.txt"] == "the check ended early: AttributeError\n"
    assert texts["status.json"] == "could not be made: AttributeError\n"
    assert "integrity: ok" in texts["database.txt"]


def test_the_newest_logs_of_failed_attempts_are_in_it(node: Path) -> None:
    """By the number of the attempt: 101 is newer than 99."""
    for number in range(90, 111):
        (node / "failed-attempts" / f"{number}.log").write_text(f"{HEAD}: attempt no. {number}\n")
    logs = [text for name, text in bundle(node).items() if "failed-attempt" in name]
    said = sorted(int(line.rpartition(" ")[2]) for text in logs for line in text.splitlines() if "no. " in line)
    assert said == list(range(91, 111))


def test_a_damaged_index_is_said_and_stops_nothing(node: Path) -> None:
    """That is when help is needed."""
    for path in node.glob("index.sqlite*"):
        path.write_bytes(b"no index" * 1000)
    texts = bundle(node)
    assert "could not be made: IndexDamagedError" in texts["database.txt"]
    assert "COULD NOT BE READ" in texts["CONTENTS.txt"]
    assert "ok" not in texts["status.json"]
    assert "uid-" in texts["logs/failed-attempt-1.txt"]


def test_a_node_that_never_ran_has_a_bundle_too(tmp_path: Path) -> None:
    """Nothing is created but the archive."""
    (tmp_path / "node.toml").write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n[pipeline]\ndevice = "cpu"\n')
    assert "could not be made" in bundle(tmp_path)["status.json"]
    assert not (tmp_path / "data").exists()


def test_mistakes_of_the_configuration_are_listed_without_their_values(node: Path) -> None:
    """A password may stand in the wrong place."""
    (node / "node.toml").write_text(f'[node]\npassword = "{SECRET}"\n')
    texts = bundle(node)
    assert "[node].password: is not a setting" in texts["configuration-problems.txt"]
    assert SECRET not in "".join(texts.values())


def test_logs_are_in_it_while_the_configuration_has_mistakes(node: Path) -> None:
    """The journal and named files; the contents say that nothing was compared with the index."""
    (node / "node.toml").write_text("[node]\nname = 1\n")
    log = node / "node.log"
    log.write_text(f"{HEAD}: study 1.2.840.99.1.2\nQuimby in C\n")
    texts = bundle(node, "--log", str(log))
    assert "study uid-" in texts["logs/file-1.txt"]
    assert "in C" not in texts["logs/file-1.txt"]
    assert "logs/journal.txt" in texts
    assert "COULD NOT BE READ" in texts["CONTENTS.txt"]


def test_an_archive_that_is_there_is_not_written_over(node: Path) -> None:
    """Another name is to be given."""
    bundle(node)
    command = ["--config", str(node / "node.toml"), "support-bundle", "--to", str(node / "bundle.tar.gz")]
    assert CliRunner().invoke(app, command).exit_code != 0
