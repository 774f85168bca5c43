"""What `dicom-node check` says of a PACS that is asked for earlier studies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.archive import (
    fetching_settings,
)
from builders.scripted_scp import scripted_scp
from builders.started_archives import Start, honest, started_archives
from dicom_node.check import Outcome, check_query_retrieve


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a PACS with a script and a node that asks it; both end with the test."""
    with started_archives(tmp_path) as begin:
        yield begin


@pytest.mark.parametrize(
    ("service", "words"), [("move", "as a destination shows with the first study"), ("get", "C-GET")]
)
def test_check_says_what_can_be_said_of_query_and_retrieval(start: Start, service: str, words: str) -> None:
    """A query for nobody, and a negotiation; nothing is moved."""
    script = honest()
    node = start(script, query_retrieve=service)

    result = check_query_retrieve(node.fetcher.peer, node.settings)

    assert result.outcome is Outcome.PASSED
    assert words in result.detail
    assert script.asked == ["STUDY"]


def test_check_fails_where_the_pacs_may_not_send_what_it_moves(start: Start) -> None:
    """Not even where strangers may."""
    node = start(honest())
    peer = node.fetcher.peer.model_copy(update={"may_send": False})
    listen = node.settings.listen.model_copy(update={"accept_unknown_callers": True})

    result = check_query_retrieve(peer, node.settings.model_copy(update={"listen": listen}))

    assert result.outcome is Outcome.FAILED
    assert "set may_send = true" in result.detail


def test_check_fails_where_the_pacs_offers_no_query(tmp_path: Path) -> None:
    """Such as the storage SCP of a workstation."""
    with scripted_scp(lambda n: 0, sop_class_uids=()) as scp:
        peer = scp.peer.model_copy(update={"query_retrieve": "move"})
        result = check_query_retrieve(peer, fetching_settings(tmp_path, peer))

    assert result.outcome is Outcome.FAILED
    assert "does not offer this node query/retrieve" in result.detail
