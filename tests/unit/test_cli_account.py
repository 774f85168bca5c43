"""Accounts of the pages by command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from builders.clock import FakeClock
from dicom_node.cli.app import app
from dicom_node.web.login_rules import Gate
from storage.accounts import AccountBook
from storage.database import open_engine
from storage.migrations import migrate

PASSWORD, OTHER = "a sentence as a password", "another sentence, longer"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a node that was started once and has no accounts."""
    path = tmp_path / "node.toml"
    path.write_text(f'[node]\ndata_dir = "{tmp_path}"\n')
    migrate(f"sqlite:///{tmp_path / 'index.sqlite'}")
    return path


def account(config: Path, *arguments: str, typed: str = "") -> Result:
    """How a command of the group ended."""
    return CliRunner().invoke(app, ["--config", str(config), "account", *arguments], input=typed)


def lets_in(config: Path, name: str, password: str) -> bool:
    """Whether the pages would let somebody in."""
    engine = open_engine(f"sqlite:///{config.parent / 'index.sqlite'}")
    try:
        clock = FakeClock()
        return Gate(AccountBook(engine, now=clock.now), now=clock.now).lets_in(name, password, "here")
    finally:
        engine.dispose()


def test_an_account_is_made_listed_given_another_password_and_removed(config: Path) -> None:
    """The pages let in who the commands say, by the newest password alone."""
    assert account(config, "add", "ann", "--role", "administrator", typed=f"{PASSWORD}\n").exit_code == 0
    assert account(config, "add", "vera", typed=f"{PASSWORD}\n").exit_code == 0
    listed = account(config, "list").stdout
    assert "ann" in listed and "administrator" in listed and "viewer" in listed and "never" in listed
    assert lets_in(config, "ann", PASSWORD)
    assert account(config, "password", "ann", typed=f"{OTHER}\n").exit_code == 0
    assert lets_in(config, "ann", OTHER) and not lets_in(config, "ann", PASSWORD)
    assert account(config, "remove", "ann").exit_code == 0
    assert not lets_in(config, "ann", OTHER)
    assert "ann" not in account(config, "list").stdout


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb"])
def test_a_name_that_nobody_could_type_is_wrong_usage(config: Path, name: str) -> None:
    """Nothing is made."""
    done = account(config, "add", name, typed=f"{PASSWORD}\n")
    assert done.exit_code == 2 and "1 to 64 printable characters" in done.stderr


@pytest.mark.parametrize("typed", ["", "short\n", "x" * 257 + "\n"])
def test_a_password_that_is_too_short_or_long_is_wrong_usage(config: Path, typed: str) -> None:
    """Neither a new account nor an old one gets it."""
    assert account(config, "add", "vera", typed=f"{PASSWORD}\n").exit_code == 0
    assert account(config, "add", "ann", typed=typed).exit_code == 2
    assert account(config, "password", "vera", typed=typed).exit_code == 2
    assert "ann" not in account(config, "list").stdout and lets_in(config, "vera", PASSWORD)


def test_an_account_is_made_once_and_only_known_ones_are_changed(config: Path) -> None:
    """What is refused changes nothing."""
    account(config, "add", "vera", typed=f"{PASSWORD}\n")
    assert account(config, "add", "vera", typed=f"{OTHER}\n").exception is not None
    assert lets_in(config, "vera", PASSWORD)
    assert account(config, "remove", "nobody").exception is not None
    assert account(config, "password", "nobody", typed=f"{OTHER}\n").exception is not None
