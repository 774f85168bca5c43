"""The conformance statement, line by line, against a running node."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import UID

from builders.conformance import STATEMENT, TABLES, destination, everything, table_in, uids_in
from builders.listener import RunningListener, association, listener_settings, running_listener
from dicom_node.listen.errors import (
    InstanceRefusedError,
    MismatchError,
    NotUnderstoodError,
    OutOfResourcesError,
    ProcessingFailedError,
)
from dicom_node.listen.file_meta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

TEXT = STATEMENT.read_text(encoding="utf-8")
LITTLE_ENDIAN = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
IN_ONE_ASSOCIATION = 128
"""Presentation contexts (PS3.8 9.3.2.2)."""


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """A node that takes all that it can take."""
    listen = {"accept_notifications": everything().listen.accept_notifications}
    with running_listener(listener_settings(tmp_path_factory.mktemp("data"), **listen)) as running:
        yield running


def accepted(port: int, pairs: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which SOP classes in which transfer syntaxes the node takes, each offered in a context of its own."""
    found: set[tuple[str, str]] = set()
    for begin in range(0, len(pairs), IN_ONE_ASSOCIATION):
        offered = [(sop_class, [syntax]) for sop_class, syntax in pairs[begin : begin + IN_ONE_ASSOCIATION]]
        with association(port, offered) as opened:
            found |= {(str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in opened.accepted_contexts}
    return found


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_printed_from_listener_and_outbox(name: str) -> None:
    """`python tests/builders/conformance.py` prints them again."""
    assert table_in(TEXT, name) == TABLES[name]()


def test_every_storage_class_is_accepted_in_every_transfer_syntax(listener: RunningListener) -> None:
    """As the statement says."""
    classes, syntaxes = uids_in(table_in(TEXT, "storage")), uids_in(table_in(TEXT, "syntaxes"))
    assert len(classes) > 100
    pairs = [(sop_class, syntax) for sop_class in classes for syntax in syntaxes]
    assert accepted(listener.port, pairs) == set(pairs)


def test_every_other_service_is_accepted(listener: RunningListener) -> None:
    """In both transfer syntaxes, and in no compressed one."""
    classes = uids_in(table_in(TEXT, "services"))
    pairs = [(sop_class, syntax) for sop_class in classes for syntax in LITTLE_ENDIAN]
    assert accepted(listener.port, pairs) == set(pairs)
    assert accepted(listener.port, [(sop_class, "1.2.840.10008.1.2.4.70") for sop_class in classes]) == set()


def test_first_of_the_order_is_taken_where_several_are_offered(listener: RunningListener) -> None:
    """Whatever order the sender has."""
    syntaxes = uids_in(table_in(TEXT, "syntaxes"))
    for offered in (syntaxes[::-1], syntaxes[5:0:-1]):
        with association(listener.port, [("1.2.840.10008.5.1.4.1.1.2", offered)]) as opened:
            (context,) = opened.accepted_contexts
            assert context.transfer_syntax == [UID(min(offered, key=syntaxes.index))]


def test_what_is_not_in_the_statement_is_not_accepted(listener: RunningListener) -> None:
    """Query/Retrieve and the worklist are not provided."""
    others = ["1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.31"]
    assert accepted(listener.port, [(sop_class, LITTLE_ENDIAN[0]) for sop_class in others]) == set()


def test_implementation_and_limits_are_those_of_the_statement(listener: RunningListener) -> None:
    """As the association is told."""
    with association(listener.port, [("1.2.840.10008.1.1", LITTLE_ENDIAN)]) as opened:
        assert opened.acceptor.implementation_class_uid == IMPLEMENTATION_CLASS_UID
        assert opened.acceptor.implementation_version_name == IMPLEMENTATION_VERSION_NAME
        assert f"{opened.acceptor.maximum_length:,} bytes" in TEXT
    listen = listener.settings.listen
    assert IMPLEMENTATION_CLASS_UID in TEXT
    assert f"{listen.maximum_associations} in all, {listen.maximum_associations_per_address} from one address" in TEXT


@pytest.mark.parametrize("kind", [OutOfResourcesError, MismatchError, NotUnderstoodError, ProcessingFailedError])
def test_every_status_is_in_the_statement(kind: type[InstanceRefusedError]) -> None:
    """Of a C-STORE."""
    assert f"| {kind.status:04X} |" in TEXT


def test_every_class_of_a_table_has_its_name() -> None:
    """Also where pydicom does not know it yet."""
    assert [line for line in TEXT.splitlines() if re.match(r"\| \d+\.[\d.]+ \|", line)] == []


def test_the_report_is_sent_by_default_as_the_statement_says() -> None:
    """Its classes in the order of the settings."""
    assert f"`sr_classes`, by default {', '.join(f'`{name}`' for name in destination().sr_classes)}" in TEXT


def test_documents_that_the_statement_names_are_there() -> None:
    """Links go to files beside it."""
    for target in re.findall(r"\]\(([a-z-]+\.md)\)", TEXT):
        assert (Path(STATEMENT).parent / target).is_file(), target
