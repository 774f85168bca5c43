"""How many images a peer has, asked by C-FIND over the network."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from builders.find_scp import find_scp, match
from builders.instances import ct_instance, dose_report
from builders.listener import send
from builders.orthanc import AE_TITLE as ORTHANC_AE_TITLE
from builders.orthanc import running_orthanc
from builders.ports import free_port
from config.settings import Peer
from dicom_node.calling import PeerUnreachableError
from dicom_node.evidence import WHOLE_STUDY, SeriesCount
from dicom_node.retrieve.association import StopSwitch
from dicom_node.retrieve.count import count_images
from dicom_node.retrieve.errors import ArchiveFailedError

STUDY = "1.2.3.4"
OTHER = "9.9.9"


def count(uid: str, number: int, *, modality: str = "CT") -> SeriesCount:
    """What is expected of a series."""
    return SeriesCount(series_instance_uid=uid, modality=modality, instance_count=number)


def asked(answer: object) -> tuple[SeriesCount, ...]:
    """What comes of asking a peer that answers like this."""
    with find_scp(answer) as peer:  # type: ignore[arg-type]
        return count_images(peer, STUDY, own_aet="NODE", switch=StopSwitch())


def test_series_are_counted_as_the_peer_says() -> None:
    """One question for a peer that gives Number of Series Related Instances."""
    levels: list[str] = []

    def answer(identifier: Dataset) -> Sequence[Dataset]:
        levels.append(identifier.QueryRetrieveLevel)
        shared = {"StudyInstanceUID": STUDY, "Modality": "CT"}
        return [
            match("SERIES", SeriesInstanceUID="1.1", NumberOfSeriesRelatedInstances=64, **shared),
            match("SERIES", SeriesInstanceUID="1.2", NumberOfSeriesRelatedInstances="2", **shared),
        ]

    assert asked(answer) == (count("1.1", 64), count("1.2", 2))
    assert levels == ["SERIES"]


def test_images_are_counted_where_the_peer_gives_no_number() -> None:
    """Each CT image once; of other series no image is asked for; what was not asked for is passed over."""

    def answer(identifier: Dataset) -> Sequence[Dataset]:
        if identifier.QueryRetrieveLevel == "SERIES":
            return [
                match("SERIES", StudyInstanceUID=STUDY, SeriesInstanceUID="1.1", Modality="CT"),
                match("SERIES", StudyInstanceUID=STUDY, SeriesInstanceUID="1.3", Modality="SR"),
                match("SERIES", StudyInstanceUID=OTHER, SeriesInstanceUID="9.1", Modality="CT"),
            ]
        assert identifier.SeriesInstanceUID == "1.1"
        uids = ["1.1.1", "1.1.2", "1.1.2"]
        return [match("IMAGE", SeriesInstanceUID="1.1", SOPInstanceUID=uid) for uid in uids]

    assert asked(answer) == (count("1.1", 2), count("1.3", 0, modality="SR"))


def test_the_study_is_counted_where_the_peer_lists_no_series() -> None:
    """Only when it is CT alone: together with what is no image the number says nothing."""

    def answer(modalities: object) -> object:
        def of_level(identifier: Dataset) -> Sequence[Dataset] | int:
            if identifier.QueryRetrieveLevel != "STUDY":
                return 0xA900
            values = {"ModalitiesInStudy": modalities, "NumberOfStudyRelatedInstances": 64}
            return [match("STUDY", StudyInstanceUID=STUDY, **values)]

        return of_level

    assert asked(answer("CT")) == (count(WHOLE_STUDY, 64),)
    assert asked(answer(["CT", "SR"])) == ()


def test_a_failure_and_nonsense_are_told() -> None:
    """As an error that names the peer, and nothing of the patient."""
    with pytest.raises(ArchiveFailedError, match="pacs: C-FIND failed with status 0xC001"):
        asked(lambda _: 0xC001)
    with pytest.raises(ArchiveFailedError, match="pacs: the answer could not be read"):
        asked(lambda _: [match("SERIES", StudyInstanceUID=STUDY, Modality="CT")])


def test_a_peer_that_is_not_there_is_told() -> None:
    """The worker tries again later."""
    with pytest.raises(PeerUnreachableError, match="pacs"):
        count_images(
            Peer(name="pacs", ae_title="X", host="127.0.0.1", port=free_port()),
            STUDY,
            own_aet="NODE",
            switch=StopSwitch(),
        )


def test_orthanc_is_counted_right(tmp_path: Path) -> None:
    """By a PACS that is not ours."""
    with running_orthanc(tmp_path) as orthanc:
        peer = Peer(name="pacs", ae_title=ORTHANC_AE_TITLE, host="127.0.0.1", port=orthanc.dicom_port)
        images = [ct_instance(number) for number in range(1, 6)]
        report = dose_report()
        report.SeriesInstanceUID = "1.2.3.4.9"
        assert set(send(peer.port, *images, report, called_aet=ORTHANC_AE_TITLE)) == {0}
        counts = count_images(peer, STUDY, own_aet="NODE", switch=StopSwitch())
    assert count("1.2.3.4.1", 5) in counts
    assert len(counts) == 2
