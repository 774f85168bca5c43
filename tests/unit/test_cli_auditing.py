"""What commands that change the node leave in its audit trail."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from builders.audit import recorded
from dicom_node.audit.chain import Chain
from dicom_node.audit.verifying import verify
from dicom_node.cli.app import app
from dicom_node.operators import operator_name
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


@pytest.mark.parametrize("command", [_PEER, _ACCOUNT])
def test_who_cannot_write_the_trail_is_told_and_the_command_goes_on(
    config: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to do, on stderr alone."""

    def refuse(_chain: Chain, _message: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Chain, "append", refuse)
    ended = done(config, *command)
    assert "not in the audit trail" in ended.stderr and "user of the service" in ended.stderr
    assert "audit" not in ended.stdout
