"""What the commands of `retention` say of sizes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from builders.cli import run
from builders.clock import FakeClock
from builders.index import build_index, received
from storage.files import ResultStore
from storage.lifecycle import Event


def test_the_size_of_a_study_is_that_of_its_objects_and_its_results(tmp_path: Path) -> None:
    """All of it is free once the study is deleted; of every revision."""
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path}"\n[retention]\ndays = 1\n')
    index = build_index(tmp_path, FakeClock(datetime.now(UTC) - timedelta(days=9)))
    index.record_received([received("1.2.3", 1), received("1.2.3", 2)])
    index.apply("1.2.3", Event.DISCARDED, why="for the test")
    for revision, size_bytes in (("r1", 300), ("r2", 70)):
        folder = ResultStore(tmp_path).folder_of("1.2.3") / revision
        folder.mkdir(parents=True)
        (folder / "sr.dcm").write_bytes(bytes(size_bytes))
    said = json.loads(run(config, "retention", "plan", "--json").stdout)
    assert said["deleted_bytes"] == said["studies"][0]["size_bytes"] == 2370
    assert "2.314 KiB" in run(config, "retention", "plan").stdout
    run(config, "retention", "run")
    assert json.loads(run(config, "retention", "plan", "--json").stdout)["last"]["size_bytes"] == 2370
