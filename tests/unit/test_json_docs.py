"""The description of what scripts read names every field."""

from dataclasses import fields
from pathlib import Path

import pytest

from dicom_node.ae_test.send import PeerTest, SentImages, SentObject
from dicom_node.audit.listing import AuditEntry, AuditListing
from dicom_node.audit.verifying import AuditFinding, AuditReport
from dicom_node.batch.plan import BatchEstimate
from dicom_node.check import CheckResult
from dicom_node.cli.ae_edit import EchoReport, PeerLine, PeerList
from dicom_node.cli.ae_refused import RefusedReport
from dicom_node.cli.batch import BatchList, BatchTable
from dicom_node.cli.check import CheckReport
from dicom_node.cli.config import ConfigHistoryReport, ConfigReport, EffectiveValue
from dicom_node.cli.configuring import EditReport
from dicom_node.cli.model import ListedPack, PackList
from dicom_node.cli.retention import PlannedStudy, RetentionDone, RetentionPlan
from dicom_node.cluster.state import ClusterActor, ClusterNode, ClusterState
from dicom_node.configuring import ConfigVersion
from dicom_node.destinations import RoleChoice
from dicom_node.infer import InferredStudy
from dicom_node.refused import RefusedLine
from dicom_node.reindex import ReindexReport
from dicom_node.rules import Misfit, RuleTrial, SeriesTrial
from dicom_node.rules_report import RulesList, RulesTest
from dicom_node.series_choice import SeriesChoiceReport
from dicom_node.status import DestinationStatus, DiskStatus, NodeStatus, ProcessStatus
from dicom_node.support.bundle import BundleFile, SupportBundle
from pipeline.findings import (
    Algorithm,
    DroppedPrior,
    GoneLesion,
    Lesion,
    LungFigures,
    ScoreCalibration,
    ScorePoint,
    UsedPrior,
)
from pipeline.series_rules import SeriesRule, SourceRules
from pipeline.survey import SeriesVerdict
from storage.batch_records import BatchPlan, BatchView
from storage.commitment_records import CommitmentCounts, DeliveryCommitment
from storage.fetch_records import FoundPriorView, PriorFetchView
from storage.outages import Outage
from storage.patient_records import AssignmentView, MergeView, PatientStudy, PatientView, Waiver
from storage.records import (
    ClassAnswer,
    DeliveryView,
    Demographics,
    Heartbeat,
    HistoryEntry,
    NamedPatient,
    PatientKey,
    ResultFile,
    ResultSet,
    StudyView,
)
from storage.rule_records import RuledDestination, RuleDecision
from storage.verifying import VerifyReport

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text()
SECTIONS = {
    "## `check --json`": (CheckReport, CheckResult),
    "## `status --json`": (
        NodeStatus,
        ProcessStatus,
        Heartbeat,
        DestinationStatus,
        RoleChoice,
        ClassAnswer,
        Outage,
        CommitmentCounts,
        DiskStatus,
        ClusterState,
        ClusterNode,
        ClusterActor,
    ),
    "## `batch status --json`, `batch start --json`": (BatchList, BatchView, BatchPlan, BatchEstimate, BatchTable),
    "## `study choose --json`": (SeriesChoiceReport, SeriesVerdict, SourceRules, SeriesRule),
    "## `study show --json`": (
        StudyView,
        PatientKey,
        Demographics,
        NamedPatient,
        HistoryEntry,
        PriorFetchView,
        FoundPriorView,
        DeliveryView,
        DeliveryCommitment,
        ResultSet,
        ResultFile,
    ),
    "## `patient show --json`": (PatientView, PatientStudy, MergeView, AssignmentView, Waiver),
    "## `ae test --json`": (PeerTest, SentImages, SentObject),
    "## `ae list --json`, `ae echo --json`": (PeerList, PeerLine, EchoReport),
    "## `retention plan --json`, `retention run --json`": (RetentionPlan, PlannedStudy, RetentionDone),
    "## `ae refused --json`": (RefusedReport, RefusedLine),
    "## `ae add --json`, `ae change --json`": (EditReport,),
    "## `config history --json`": (ConfigHistoryReport, ConfigVersion, ConfigReport, EffectiveValue),
    "## `rules test --json`, `rules list --json`": (
        RulesTest,
        RulesList,
        RuleTrial,
        SeriesTrial,
        Misfit,
        RuleDecision,
        RuledDestination,
    ),
    "## `storage verify --json`": (VerifyReport, ReindexReport),
    "## `model list --json`": (PackList, ListedPack),
    "## `audit verify --json`": (AuditReport, AuditFinding),
    "## `audit list --json`": (AuditListing, AuditEntry),
    "## `support-bundle --json`": (SupportBundle, BundleFile),
    "## `infer --json`": (InferredStudy,),
    "## `findings.json`": (
        Lesion,
        GoneLesion,
        LungFigures,
        UsedPrior,
        DroppedPrior,
        Algorithm,
        ScoreCalibration,
        ScorePoint,
    ),
}


@pytest.mark.parametrize("title", SECTIONS)
def test_every_field_is_described_where_it_is_printed(title: str) -> None:
    """A field that is added is described too."""
    section = DOCUMENT.split(title)[1].split("\n## ")[0]
    names = {field.name for record in SECTIONS[title] for field in fields(record)}
    assert not {name for name in names if f"`{name}`" not in section and f"`{name}[]`" not in section}
