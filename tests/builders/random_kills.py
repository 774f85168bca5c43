"""Kills at random moments under load, and what follows each of them."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from pydicom.dataset import Dataset

from builders.faulty_node import FaultyNode
from builders.instances import ct_instance
from builders.kill_cycle import faulty_node, small_study
from builders.ledger_scp import LedgerScp
from builders.master_check import Checked, master_check
from builders.sender_ledger import SenderLedger

SENDERS = 4
_OBJECTS_A_SENDER = 400
_LATEST_LISTENER_KILL_S = 1.5
_LATEST_NODE_KILL_S = 10.0
_PARTS = ("listen", "work", "both")
_never = Event()


def kill_listener_under_load(node: FaultyNode, chance: random.Random, study_uid: str) -> Checked:
    """Four senders, a kill at a random moment, a restart, the rest again, the master check."""
    sent = SenderLedger()
    loads = [_load(f"{study_uid}.{sender}") for sender in range(SENDERS)]
    with ThreadPoolExecutor(SENDERS) as senders:
        sending = [senders.submit(sent.send, node.port, load) for load in loads]
        _never.wait(chance.uniform(0.05, _LATEST_LISTENER_KILL_S))
        node.kill("listen")
        left = [future.result() for future in sending]
    node.start_again("listen")
    # As many more as were lost on the way: a modality sends the rest again, not all that it has.
    for rest in left:
        sent.send_all(node.port, rest[:2])
    return master_check(node.data_dir, sent)


def kill_node_at_work(node: FaultyNode, chance: random.Random, study_uid: str, pacs: LedgerScp) -> Checked:
    """A study on its way to its result, a kill of listener, worker or both at a random moment, the master check."""
    sent, study = SenderLedger(), small_study(study_uid)
    parts = chance.choice(_PARTS)
    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(sent.send, node.port, study)
        _never.wait(chance.uniform(0.05, _LATEST_NODE_KILL_S))
        for part in ("listen", "work") if parts == "both" else (parts,):
            node.kill(part)
            node.start_again(part)
        sent.send_all(node.port, sending.result() or study[:1])
    node.wait_until_delivered(study_uid)
    return master_check(node.data_dir, sent, pacs)


def kill_listeners(folder: Path, *, seed: int, kills: int) -> list[Checked]:
    """So many kills of one listener, one after the other, on one data folder."""
    chance = random.Random(seed)  # repeatable, hides nothing
    with faulty_node(folder) as node:
        return [kill_listener_under_load(node, chance, f"1.2.{seed}.{number}") for number in range(kills)]


def kill_nodes(folder: Path, pacs: LedgerScp, *, seed: int, kills: int) -> list[Checked]:
    """So many kills of one node at work, one after the other, on one data folder."""
    chance = random.Random(seed)  # repeatable, hides nothing
    with faulty_node(folder, pacs) as node:
        node.start("work")
        return [kill_node_at_work(node, chance, f"1.3.{seed}.{number}", pacs) for number in range(kills)]


def _load(study_uid: str) -> Sequence[Dataset]:
    return [ct_instance(number, study=study_uid, PatientID=study_uid) for number in range(_OBJECTS_A_SENDER)]
