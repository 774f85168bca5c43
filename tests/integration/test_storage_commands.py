"""`dicom-node storage` against a node that runs, and one whose index is gone."""

import json
from pathlib import Path

import pytest

from builders.cli import run
from builders.instances import ct_instance
from builders.node import NodeProcess, run_dicom_node
from builders.sender_ledger import SenderLedger

STUDY = "1.2.3.4"
IMAGES = [ct_instance(number, study=STUDY) for number in range(4)]


def test_a_running_node_is_verified(tmp_path: Path) -> None:
    """Exit code 0 while all is well, 1 when a file changed."""
    with NodeProcess(folder=tmp_path, parts=("listen",)) as node:
        SenderLedger().send_all(node.port, IMAGES)
        assert json.loads(node.command("storage", "verify", "--json").stdout)["checked_objects"] == 4
        changed = next(node.data_dir.glob("objects/*/*.dcm"))
        changed.write_bytes(changed.read_bytes()[:-1] + b"?")
        done = node.command("storage", "verify", exit_code=1)
        assert f"changed: {changed.relative_to(node.data_dir)}" in done.stdout


@pytest.mark.sqlite
def test_a_running_node_is_not_reindexed(tmp_path: Path) -> None:
    """Nobody takes the index from under it."""
    with NodeProcess(folder=tmp_path, parts=("listen",)) as node:
        assert "already works on this data folder" in node.command("storage", "reindex", exit_code=1).stderr


@pytest.mark.sqlite
@pytest.mark.parametrize("content", [None, b"", b"no index" * 10_000], ids=["missing", "empty", "damaged"])
def test_a_node_whose_index_is_gone_names_the_command_that_brings_it_back(
    tmp_path: Path, content: bytes | None
) -> None:
    """It does not start, deletes nothing, and after the command it has every image again."""
    with NodeProcess(folder=tmp_path, parts=("listen",)) as node:
        SenderLedger().send_all(node.port, IMAGES)
        node.stop("listen")
        database = node.data_dir / "index.sqlite"
        database.unlink() if content is None else database.write_bytes(content)
        files = sorted(node.data_dir.glob("objects/*/*"))

        for part in ("listen", "work"):
            refused = run_dicom_node("--config", str(node.config_path), part)
            assert (refused.returncode, "dicom-node storage reindex" in refused.stderr) == (1, True)
        assert json.loads(node.command("storage", "reindex", "--json").stdout)["added"] == 4
        node.start("listen")
        node.wait_until_it_listens()

        view = node.study(STUDY)
        assert (view.instance_count if view else 0, sorted(node.data_dir.glob("objects/*/*"))) == (4, files)


@pytest.mark.parametrize("address", ["", "postgres://node@db/node", "mysql://node@db/node", "index.sqlite"])
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_an_index_moves_only_to_where_the_setting_may_name(
    tmp_path: Path, address: str, options: tuple[str, ...]
) -> None:
    """Anything else is wrong usage, before the target is asked."""
    file = tmp_path / "node.toml"
    file.write_text(f'[node]\ndata_dir = "{tmp_path}"\n')
    done = run(file, "storage", "move", "--to", address, *options, exit_code=2)
    assert "postgresql+psycopg://" in str(done.exception)
