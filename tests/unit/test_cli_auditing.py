"""What commands that change the node leave in its audit trail."""

from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from typer.testing import CliRunner, Result

from builders.audit import messages_in, recorded
from builders.batches import plan
from builders.clock import FakeClock
from builders.find_scp import find_scp, match
from builders.index import build_index
from dicom_node.audit.chain import Chain
from dicom_node.audit.verifying import verify
from dicom_node.cli.app import app
from dicom_node.operators import operator_name
from storage.locks import lock_data_dir
from storage.migrations import migrate

_PEER = ("ae", "add", "pacs", "PACS", "10.0.0.5:104")
_ACCOUNT = ("account", "add", "ann")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a node that was started once."""
    path = tmp_path / "node.toml"
    (tmp_path / "data").mkdir()
    path.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n')
    migrate(f"sqlite:///{tmp_path / 'data' / 'index.sqlite'}")
    return path


def done(config: Path, *arguments: str) -> Result:
    """How a command ended that succeeded; a password is typed where it asks for one."""
    ended = CliRunner().invoke(app, ["--config", str(config), *arguments], input="a sentence as a password\n")
    assert ended.exit_code == 0, ended.output
    return ended


def failed(config: Path, *arguments: str) -> BaseException | None:
    """Why a command failed; None where it was given wrongly."""
    ended = CliRunner().invoke(app, ["--config", str(config), *arguments])
    assert ended.exit_code != 0, ended.output
    return None if isinstance(ended.exception, SystemExit) else ended.exception


def failures(config: Path) -> list[tuple[str, str, str]]:
    """Of each message about a failure: the event, what the command line was, why; by the operator."""
    found = []
    for message in map(fromstring, messages_in(config.parent / "data" / "audit")):
        event = message.find("EventIdentification")
        assert event is not None
        if event.get("EventOutcomeIndicator") == "0":
            continue
        assert operator_name() in [one.get("UserID") for one in message.iter("ActiveParticipant")]
        meaning = event.find("EventID")
        assert meaning is not None
        objects = [str(one.get("ParticipantObjectID")) for one in message.iter("ParticipantObjectIdentification")]
        found.append(
            (str(meaning.get("originalText")), " ".join(objects), event.findtext("EventOutcomeDescription", ""))
        )
    return found


def alerts(config: Path) -> list[tuple[str, str, str]]:
    """Of each security alert: its kind, what it is about, the command."""
    found = []
    for alert in recorded(config.parent / "data" / "audit", "Security Alert"):
        kind = alert.find("EventIdentification/EventTypeCode")
        users = [one.get("UserID") for one in alert.iter("ActiveParticipant")]
        about = alert.find("ParticipantObjectIdentification")
        assert kind is not None and about is not None
        assert operator_name() in users
        words = "".join(about.itertext()) + " ".join(one.get("value", "") for one in about.iter())
        found.append((str(kind.get("originalText")), str(about.get("ParticipantObjectID")), words))
    return found


def test_commands_that_edit_the_configuration_are_security_alerts(config: Path) -> None:
    """As the same deeds on the pages are; an edit that changes nothing is none."""
    for command in (
        _PEER,
        ("ae", "change", "pacs", "port=105"),
        ("ae", "change", "pacs", "port=105"),
        ("ae", "remove", "pacs"),
        ("config", "restore", "1"),
    ):
        done(config, *command)
    assert [kind for kind, _, _ in alerts(config)] == [*["Network Configuration"] * 3, "Software Configuration"]
    assert "pacs" in alerts(config)[0][1]
    assert verify(config.parent / "data" / "audit").passed


def test_commands_that_change_accounts_are_security_alerts_without_the_password(config: Path) -> None:
    """With the name of the account."""
    for command in (_ACCOUNT, ("account", "password", "ann"), ("account", "remove", "ann")):
        done(config, *command)
    found = alerts(config)
    assert [kind for kind, _, _ in found] == ["User security Attributes Changed"] * 3
    assert all("ann" in subject for _, subject, _ in found)
    assert "a sentence" not in str(found)


_SEEN, _RECORD, _ALERT = "DICOM Instances Accessed", "Patient Record", "Security Alert"


@pytest.mark.parametrize(
    ("command", "event", "about"),
    [
        (("study", "show", "9.9"), _SEEN, "9.9"),
        (("study", "choose", "9.9"), _SEEN, "9.9"),
        (("study", "discard", "9.9"), _SEEN, "9.9"),
        (("study", "resend", "9.9"), _SEEN, "9.9"),
        (("study", "release", "9.9", "1"), _SEEN, "9.9"),
        (("rules", "test", "9.9"), _SEEN, "9.9"),
        (("patient", "show", "1@CITY"), _RECORD, "1^^^CITY"),
        (("patient", "unassign", "9.9"), _SEEN, "9.9"),
        (("batch", "table", "7", "--out", "x.csv"), "Query", "dicom-node:batch/table"),
        (("ae", "change", "nobody", "port=105"), _ALERT, "peer nobody"),
        (("ae", "remove", "nobody"), _ALERT, "peer nobody"),
        (("ae", "add", "a peer", "PACS", "10.0.0.5:0"), _ALERT, "peer a peer"),
        (("ae", "allow", "NOBODY"), _ALERT, "caller NOBODY"),
        (("config", "restore", "77"), _ALERT, "version 77"),
        (("model", "rollback"), _ALERT, "model pack"),
        (("account", "remove", "nobody"), _ALERT, "account nobody"),
        (("storage", "move", "--to", "mysql://root:hunter2@x/y"), _ALERT, "index to"),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, tuple) else None,
)
def test_a_command_that_failed_is_in_the_trail_with_the_reason(
    config: Path, command: tuple[str, ...], event: str, about: str
) -> None:
    """Whoever asks in vain for a study or a patient looked for it all the same."""
    why = failed(config, *command)
    assert why is not None
    ((found, objects, words),) = failures(config)
    assert (found, about in objects, words) == (event, True, " ".join(str(why).splitlines()))
    assert "hunter2" not in str(messages_in(config.parent / "data" / "audit"))


def test_both_sides_of_a_merge_and_of_an_assignment_in_vain_are_in_the_trail(config: Path) -> None:
    """Two patients, or the study with the patient."""
    failed(config, "patient", "merge", "1", "2@CITY")
    failed(config, "patient", "unmerge", "3", "4")
    failed(config, "patient", "assign", "9.9", "5")
    about = [(event, named) for event, named, _ in failures(config)]
    assert about[:2] == [(_RECORD, "1"), (_RECORD, "2^^^CITY")]
    assert about[2:4] == [(_RECORD, "3"), (_RECORD, "4")]
    assert sorted(about[4:]) == [(_SEEN, "9.9"), (_RECORD, "5")]


def test_an_interrupted_command_is_in_the_trail(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that failed."""

    def interrupt(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dicom_node.reindex.reindex", interrupt)
    failed(config, "storage", "reindex")
    assert [(event, why) for event, _, why in failures(config)] == [(_ALERT, "interrupted at the keyboard")]


def test_a_command_given_wrongly_tried_nothing(config: Path) -> None:
    """It is in no trail; nor is one of a configuration that names no node, for which no folder is made."""
    for command in (("study", "release", "9.9"), ("ae", "add", "x", "X", "nowhere"), ("account", "add", "ann")):
        failed(config, *command)
    elsewhere = config.with_name("elsewhere.toml")
    elsewhere.write_text(f'[node]\ndata_dir = "{config.parent / "elsewhere"}"\n')
    failed(elsewhere, "study", "show", "9.9")
    assert not (config.parent / "data" / "audit").exists()
    assert not (config.parent / "elsewhere").exists()


def test_making_the_index_anew_and_moving_it_are_security_alerts(config: Path) -> None:
    """Also where another one runs and it fails; a look at what would be moved is none."""
    target = f"sqlite:///{config.parent / 'moved.sqlite'}"
    done(config, "storage", "reindex")
    done(config, "storage", "reindex", "--anew")
    done(config, "storage", "move", "--to", target, "--dry-run")
    done(config, "storage", "move", "--to", target)
    found = alerts(config)
    assert [kind for kind, _, _ in found] == ["Software Configuration"] * 3
    about = [subject for _, subject, _ in found]
    assert about[:2] == ["index completed, 0 files added", "index made anew, 0 files added"]
    assert about[2].startswith("index moved to sqlite:") and about[2].endswith("moved.sqlite")
    with lock_data_dir(config.parent / "data", "listen"):
        failed(config, "storage", "reindex")
        failed(config, "storage", "move", "--to", target)
    assert ["listen runs" in why for _, _, why in failures(config)] == [True, True]


@pytest.mark.parametrize("command", [_PEER, _ACCOUNT])
def test_who_cannot_write_the_trail_is_told_and_the_command_goes_on(
    config: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to do, on stderr alone."""

    def refuse(_chain: Chain, _message: str, *, within_s: float) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Chain, "append", refuse)
    ended = done(config, *command)
    assert "not in the audit trail" in ended.stderr and "user of the service" in ended.stderr
    assert "audit" not in ended.stdout


def test_steering_a_batch_is_a_restricted_function(config: Path) -> None:
    """With the number of the batch, also where it fails."""
    build_index(config.parent / "data", FakeClock()).batches.begin(plan(), {"1.2.1": "20190101"})
    for step in ("pause", "resume", "cancel"):
        done(config, "batch", step, "1")
    assert failed(config, "batch", "retry", "1") is not None
    assert [(kind, about) for kind, about, _ in alerts(config)] == [("Use of Restricted Function", "batch 1")] * 4
    ((event, about, why),) = failures(config)
    assert (event, about) == ("Security Alert", "batch 1")
    assert "`batch resume` takes it up first" in why


def test_beginning_a_batch_is_a_restricted_function(config: Path) -> None:
    """A dry run is none; an order of which no study is there failed."""
    answers = [match("STUDY", StudyInstanceUID="1.2.5", StudyDate="20190101")]
    days = ("since=2019-01-01", "until=2019-01-02")
    with find_scp(lambda _: answers) as peer:
        config.write_text(
            f'{config.read_text()}[[peers]]\nname = "pacs"\nae_title = "PACS"\nhost = "localhost"\n'
            f'port = {peer.port}\nquery_retrieve = "move"\n'
        )
        done(config, "batch", "start", "pacs", *days, "--dry-run")
        assert alerts(config) == []
        done(config, "batch", "start", "pacs", *days)
        answers.clear()
        assert failed(config, "batch", "start", "pacs", *days) is not None
    told = [about for _, about, _ in alerts(config)]
    assert told == ["batch 1 of studies of pacs", "batch of studies of pacs"]
    assert "nothing was begun" in failures(config)[-1][2]


def test_a_retention_run_that_fails_is_written_down(config: Path) -> None:
    """Another process deletes."""
    with lock_data_dir(config.parent / "data", "retention"):
        assert failed(config, "retention", "run") is not None
    ((event, about, _),) = failures(config)
    assert (event, about) == ("Security Alert", "studies that [retention] deletes")
