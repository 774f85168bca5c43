"""Two machines receive into one index on PostgreSQL and one data folder."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from builders.ct_series import CtSeries, ct_images
from builders.deadline import until
from builders.engines import server_url
from builders.faulty_node import FaultyNode
from builders.ledger_scp import LedgerScp, ledger_scp
from builders.listener import association
from builders.master_check import master_check
from builders.modality import Modality, ask, asking, named
from builders.node import AE_TITLE
from builders.sender_ledger import SenderLedger

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("on_postgres")]

QUIET_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Machine a with listener and worker, machine b with a listener, and the PACS of both."""

    a: FaultyNode
    b: FaultyNode
    pacs: LedgerScp


@pytest.fixture
def pair(tmp_path: Path, on_postgres: None) -> Iterator[Pair]:
    """Started one after the other."""
    with ExitStack() as stack:
        pacs = stack.enter_context(ledger_scp())
        machines = {}
        for name, parts in (("a", ("listen", "work")), ("b", ("listen",))):
            folder = tmp_path / name
            folder.mkdir()
            machine = FaultyNode(
                folder=folder,
                destinations=[pacs.destination],
                parts=parts,
                quiet_period_s=QUIET_S,
                evidence=False,
                database_url=server_url(tmp_path),
                machine=name,
                shared_dir=tmp_path / "data",
            )
            machines[name] = stack.enter_context(machine)
        yield Pair(**machines, pacs=pacs)


def study_of(uid: str) -> Sequence[Dataset]:
    """Images of plain shapes."""
    return ct_images(CtSeries(study_uid=uid, uid=f"{uid}.1"))


def revisions(node: FaultyNode, uid: str) -> int:
    """How many results a study has had."""
    view = node.study(uid)
    assert view
    return view.revision


def test_a_study_that_arrives_at_both_machines_completes_once(pair: Pair) -> None:
    """Half at each, at the same time; both are shown, and the study is delivered once."""
    sent, images = SenderLedger(), study_of("1.2.41")
    with ThreadPoolExecutor(2) as senders:
        halves = [senders.submit(sent.send_all, pair.a.port, images[::2])]
        halves.append(senders.submit(sent.send_all, pair.b.port, images[1::2]))
        for half in halves:
            half.result()
    pair.a.wait_until_delivered("1.2.41")
    assert revisions(pair.a, "1.2.41") == 1
    checked = master_check(pair.a.data_dir, sent, pair.pacs, database_url=pair.a.database_url)
    assert (checked.objects, checked.studies_delivered) == (len(images), 1)
    status = pair.b.command("status").stdout
    assert "listen on a" in status
    assert "listen on b" in status


def test_what_arrives_at_one_machine_holds_the_study_that_the_other_had_whole(pair: Pair) -> None:
    """It is quiet when nothing came to either."""
    sent, images = SenderLedger(), study_of("1.2.42")
    sent.send_all(pair.a.port, images[:20])
    for image in images[20:]:
        # Slower than the quiet period as a whole, quicker from one image to the next.
        sent.send_all(pair.b.port, [image])
    pair.b.wait_until_delivered("1.2.42")
    assert revisions(pair.b, "1.2.42") == 1
    assert master_check(pair.a.data_dir, sent, pair.pacs, database_url=pair.a.database_url).objects == len(images)


def test_a_machine_that_dies_loses_nothing_and_the_other_takes_the_rest(pair: Pair) -> None:
    """What had not arrived whole stays until its own machine sweeps it, and no other does."""
    sent, images = SenderLedger(), study_of("1.2.43")
    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(sent.send, pair.b.port, images)
        until(lambda: len(sent.acknowledged) >= 5, within_s=60, what="the first images are there")
        pair.b.kill("listen")
        left = sending.result()
    sent.send_all(pair.a.port, left or images[:1])
    pair.b.start_again("listen")
    pair.a.wait_until_delivered("1.2.43")
    assert revisions(pair.a, "1.2.43") == 1
    checked = master_check(pair.a.data_dir, sent, pair.pacs, database_url=pair.a.database_url)
    assert (checked.objects, checked.studies_delivered) == (len(images), 1)


def test_each_machine_reports_on_the_association_that_asked(pair: Pair) -> None:
    """Asked at both at once by callers that the node could not call; each is told once, of what came to either."""
    sent, images = SenderLedger(), study_of("1.2.44")
    sent.send_all(pair.a.port, images[:3])
    sent.send_all(pair.b.port, images[3:6])
    instances = [(str(image.SOPClassUID), str(image.SOPInstanceUID)) for image in images[:7]]
    with ExitStack() as stack:
        callers = []
        for number, machine in enumerate((pair.a, pair.b, pair.a, pair.b)):
            modality = Modality()
            callers.append(
                (modality, stack.enter_context(asking(machine.port, modality, called_aet=AE_TITLE)), f"2.25.44{number}")
            )
        with ThreadPoolExecutor(len(callers)) as asked:
            answers = [asked.submit(ask, association, uid, *instances) for _, association, uid in callers]
            assert [answer.result() for answer in answers] == [0x0000] * len(callers)
        for modality, _, uid in callers:
            event_type, content = modality.next_report()
            assert (event_type, content.TransactionUID) == (2, uid)
            assert named(content, "ReferencedSOPSequence") == [uid for _, uid in instances[:6]]
            assert named(content, "FailedSOPSequence") == [instances[6][1]]
    assert all(modality.reports.empty() for modality, _, _ in callers)


def test_a_second_listener_of_one_name_is_refused(pair: Pair) -> None:
    """Two machines that were given one name would sweep each other's files."""
    assert "listen" in pair.b.command("listen", exit_code=1).stderr


def test_each_machine_ends_its_own_associations_alone(pair: Pair) -> None:
    """A restart of one lets a study go on that is on its way to the other."""
    images = study_of("1.2.44")
    context = (str(images[0].SOPClassUID), [str(images[0].file_meta.TransferSyntaxUID)])
    with association(pair.a.port, [context], called_aet=AE_TITLE) as opened:
        assert all(opened.send_c_store(image).Status == 0x0000 for image in images[:10])
        pair.b.stop("listen")
        pair.b.start_again("listen")
        with closing(pair.a.index()) as index:
            assert [one.ended_at for one in index.carrying_associations()] == [None]
        assert all(opened.send_c_store(image).Status == 0x0000 for image in images[10:])
    pair.a.wait_until_delivered("1.2.44")
    assert revisions(pair.a, "1.2.44") == 1
