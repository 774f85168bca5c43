"""Storage commitment with a real Orthanc: as the archive that is asked, as the client that asks."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builders.deadline import until
from builders.delivered import BACK_OFF, STUDY, add_result
from builders.index import view_of
from builders.instances import ct_instance
from builders.listener import AE_TITLE, listener_settings, running_listener, send
from builders.orthanc import AE_TITLE as ORTHANC
from builders.orthanc import KnownNode, Orthanc, running_orthanc
from builders.ports import held_port
from config.settings import Peer, Settings
from dicom_node.check import Outcome, check_commitment
from dicom_node.clock import SystemClock
from dicom_node.commitment.scu import CommitmentScu, rules_from
from dicom_node.outbox import Outbox
from storage.commitment_records import Keeping
from storage.database import open_engine
from storage.index import Index
from storage.lifecycle import State
from storage.migrations import migrate

WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A node that listens, an Orthanc that knows it, and an index that both share."""

    orthanc: Orthanc
    settings: Settings
    index: Index

    @property
    def pacs(self) -> Peer:
        """The Orthanc as the node knows it."""
        return self.settings.peers[0]

    def deliver(self) -> None:
        """Send what waits."""
        Outbox(self.index, self.pacs, own_aet=AE_TITLE, back_off=BACK_OFF, clock=SystemClock()).send_due()

    def ask(self) -> bool:
        """Ask for what was delivered."""
        rules = rules_from(self.settings)
        return CommitmentScu(self.index, self.pacs, own_aet=AE_TITLE, rules=rules, clock=SystemClock()).ask_due()

    def keeping(self) -> list[Keeping | None]:
        """What is known of each object of the study."""
        return [one.commitment.state if one.commitment else None for one in view_of(self.index).deliveries]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """One of each."""
    folder = tmp_path / "orthanc"
    folder.mkdir()
    (tmp_path / "data").mkdir()
    with held_port() as port, running_orthanc(folder, node=KnownNode(ae_title=AE_TITLE, port=port)) as orthanc:
        pacs = Peer(
            name="pacs",
            ae_title=ORTHANC,
            host="127.0.0.1",
            port=orthanc.dicom_port,
            receives_results=True,
            storage_commitment=True,
        )
        settings = listener_settings(tmp_path / "data", port=port).model_copy(update={"peers": (pacs,)})
        migrate(settings.database_url)
        with (
            running_listener(settings),
            closing(Index(open_engine(settings.database_url), now=SystemClock().now)) as index,
        ):
            yield Site(orthanc=orthanc, settings=settings, index=index)


def test_orthanc_commits_what_it_took_and_gets_again_what_it_lost(site: Site, tmp_path: Path) -> None:
    """Its reports come on associations of its own; one object is deleted behind its back."""
    uids = add_result(site.index, tmp_path, STUDY, objects=2)
    site.deliver()
    (found,) = _lookup(site.orthanc, uids[1])
    site.orthanc.delete(f"/instances/{found}")
    assert site.ask()
    until(lambda: Keeping.PENDING not in site.keeping(), within_s=WITHIN_S, what="Orthanc reports")
    assert site.keeping() == [Keeping.COMMITTED, Keeping.RESENDING]
    assert view_of(site.index).state is State.SENDING
    site.deliver()
    assert site.ask()
    until(lambda: site.keeping() == [Keeping.COMMITTED] * 2, within_s=WITHIN_S, what="Orthanc reports again")
    assert view_of(site.index).state is State.DELIVERED


def test_orthanc_asks_the_node_and_is_told_what_it_keeps(site: Site) -> None:
    """An image that the node took, one that it never got."""
    image = ct_instance(1)
    assert send(site.settings.listen.port, image, calling_aet=ORTHANC) == [0]
    kept = [str(image.SOPClassUID), str(image.SOPInstanceUID)]
    assert _report(site.orthanc, [kept])["Status"] == "Success"
    report = _report(site.orthanc, [kept, [str(image.SOPClassUID), "1.2.3.99"]])
    assert report["Status"] == "Failure", report
    assert [one["SOPInstanceUID"] for one in report["Success"]] == kept[1:]
    ((lost, reason),) = [(one["SOPInstanceUID"], one["FailureReason"]) for one in report["Failures"]]
    assert (lost, reason) == ("1.2.3.99", 0x0112)


def test_check_passes_where_the_archive_offers_the_service(site: Site) -> None:
    """And says what the archive must know."""
    result = check_commitment(site.pacs, site.settings)
    assert result.outcome is Outcome.PASSED
    assert str(site.settings.listen.port) in result.detail


def _lookup(orthanc: Orthanc, sop_instance_uid: str) -> list[str]:
    """Orthanc's own identifiers of an instance."""
    query = {"Level": "Instance", "Query": {"SOPInstanceUID": sop_instance_uid}}
    return list(orthanc.post("/tools/find", query))


def _report(orthanc: Orthanc, instances: list[list[str]]) -> dict[str, Any]:
    """Let Orthanc ask the node, wait for the report."""
    path = orthanc.post("/modalities/node/storage-commitment", {"DicomInstances": instances})["Path"]

    def look() -> dict[str, Any] | None:
        report: dict[str, Any] = json.loads(orthanc.get(path))
        return report if report["Status"] != "Pending" else None

    return until(look, within_s=WITHIN_S, what="the node reports to Orthanc")
