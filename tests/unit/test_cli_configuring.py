"""The commands `ae` and `config` on a configuration file."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builders.cli import run
from config import load_settings
from dicom_node.cli.app import app


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file with a comment, and a secret."""
    path = tmp_path / "node.toml"
    (tmp_path / "data").mkdir()
    url = "postgresql://node:hunter2@db/index"
    path.write_text(f'# ours\n[node]\ndata_dir = "{tmp_path}/data"\n[storage]\ndatabase_url = "{url}"\n')
    return path


def test_a_peer_is_added_changed_and_removed(file: Path) -> None:
    """Values are read as in the file; each step is in the history and can be undone."""
    run(file, "ae", "add", "pacs", "PACS", "10.0.0.5:104", "receives_results=true", 'results=["sr"]')
    run(file, "ae", "change", "pacs", "host=pacs.example.org", "results=")
    (peer,) = json.loads(run(file, "ae", "list", "--json").stdout)["peers"]
    assert (peer["host"], peer["receives_results"], peer["results"]) == ("pacs.example.org", True, ["sr", "seg", "pdf"])
    run(file, "ae", "remove", "pacs")
    versions = json.loads(run(file, "config", "history", "--json").stdout)["versions"]
    assert [version["number"] for version in versions] == [4, 3, 2, 1]
    run(file, "config", "restore", "3")
    assert "pacs.example.org" in run(file, "ae", "list", "--json").stdout
    assert file.read_text().startswith("# ours\n")


def test_mistakes_end_with_exit_code_2_and_change_nothing(file: Path) -> None:
    """By the settings of the node itself."""
    before = file.read_text()
    done = run(file, "ae", "add", "pacs", "PA\\CS", "a b:104", exit_code=2)
    assert "[peers #1].ae_title" in str(done.exception)
    assert "[peers #1].host" in str(done.exception)
    assert file.read_text() == before
    run(file, "ae", "change", "pacs", "host", exit_code=2)
    run(file, "ae", "add", "pacs", "PACS", "10.0.0.5", exit_code=2)
    for command in (("echo", "nobody"), ("change", "nobody", "port=105"), ("remove", "nobody")):
        run(file, "ae", *command, exit_code=2)
    assert file.read_text() == before


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000])
def test_a_number_of_any_length_is_a_mistake_like_others(file: Path, number: str) -> None:
    """Python converts none of more than 4,300 digits."""
    before = file.read_text()
    done = run(file, "ae", "add", "pacs", "PACS", f"10.0.0.5:{number}", exit_code=2)
    assert "write HOST:PORT" in done.stderr
    done = run(file, "ae", "add", "pacs", "PACS", "10.0.0.5:104", f"query_port={number}", exit_code=2)
    assert "[peers #1].query_port: must be a whole number" in str(done.exception)
    assert file.read_text() == before


def test_what_is_shown_has_its_source_and_no_secret(file: Path) -> None:
    """Neither the effective settings nor a difference names the password."""
    run(file, "ae", "add", "pacs", "PACS", "10.0.0.5:104")
    shown = run(file, "config", "show", "--sources").stdout
    assert '[node].ae_title = "DICOMNODE"  (default)' in shown
    assert '[peers #1].host = "10.0.0.5"  (file)' in shown
    assert "[listen.tls].port = 2762  (default)" in shown
    difference = run(file, "config", "diff", "1").stdout
    assert '+ae_title = "PACS"' in difference
    assert "hunter2" not in shown + difference
    assert "no problem" in run(file, "config", "check").stdout


def test_the_shell_completes_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """As bash asks for it."""
    for name, value in {
        "_DICOM_NODE_COMPLETE": "complete_bash",
        "COMP_WORDS": "dicom-node config re",
        "COMP_CWORD": "2",
    }.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, [], prog_name="dicom-node")
    assert done.stdout.split() == ["restore"]


def test_init_writes_a_configuration_that_works(tmp_path: Path) -> None:
    """By options, or by answers; never over a file that is there, never with a mistake."""
    path = tmp_path / "new.toml"
    options = [
        "--ae-title",
        "OURS",
        "--data-dir",
        f"{tmp_path}/data",
        "--listen",
        "127.0.0.1:4104",
        "--pacs",
        "ARCHIVE",
        "--no-pages",
    ]
    assert "[node].data_dir" in str(
        run(path, "init", *options, "--data-dir", "x", "--pacs-address", "h:1", exit_code=2).exception
    )
    assert not path.exists()
    run(path, "init", *options, "--pacs-address", "10.0.0.5:104")
    assert json.loads(run(path, "ae", "list", "--json").stdout)["own_ae_title"] == "OURS"
    run(path, "init", *options, "--pacs-address", "10.0.0.5:104", exit_code=2)
    asked = tmp_path / "asked.toml"
    answers = f"NODE\n{tmp_path}/d\n\nPACS\npacs.example.org:104\n\n"
    done = CliRunner().invoke(app, ["--config", str(asked), "init"], input=answers)
    assert done.exit_code == 0, done.output
    made = load_settings(asked)
    assert [peer.host for peer in made.senders] == [peer.host for peer in made.destinations] == ["pacs.example.org"]
    assert made.web.enabled and made.web.login and "account add" in done.stdout
    assert f"http://127.0.0.1:{made.web.port}/" in done.stdout
    assert not load_settings(path).web.enabled


def test_init_that_cannot_ask_says_so(tmp_path: Path) -> None:
    """As from a script that forgot an answer; "Aborted!" helps nobody."""
    path = tmp_path / "new.toml"
    done = CliRunner().invoke(app, ["--config", str(path), "init", "--ae-title", "OURS"], input="")
    assert done.exit_code == 2
    assert "give it as an option" in done.output
    assert not path.exists()


def test_init_reports_every_mistake_of_the_answers(tmp_path: Path) -> None:
    """An address that is none hides no other."""
    answers = ["--ae-title", "MUCH_TOO_LONG_A_TITLE", "--data-dir", "x", "--listen", "here", "--pacs-address", "pacs"]
    told = str(run(tmp_path / "new.toml", "init", *answers, "--pacs", "P", "--no-pages", exit_code=2).exception)
    places = [line.partition(":")[0] for line in told.splitlines()]
    assert places == ["--listen", "--pacs-address", "[node].ae_title", "[node].data_dir"]
    assert "--pacs-address: write HOST:PORT (got pacs)" in told


def test_init_into_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    """No other user could write it either."""
    answers = [
        "--ae-title",
        "A",
        "--data-dir",
        "/x",
        "--listen",
        "h:1",
        "--pacs",
        "P",
        "--pacs-address",
        "h:1",
        "--no-pages",
    ]
    told = str(run(tmp_path / "gone" / "new.toml", "init", *answers, exit_code=1).exception)
    assert told == f"the folder {tmp_path / 'gone'} does not exist: make it first; nothing was written"
