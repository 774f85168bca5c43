"""The first form of the index.

A migration names columns by their plain types: it must stay what it was when the models move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    _create_patient()
    _create_study()
    _create_series()
    _create_instance()
    _create_attempt()
    _create_result()
    _create_result_file()
    _create_delivery()
    _create_history()
    _create_heartbeat()


def _create_patient() -> None:
    op.create_table(
        "patient",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patient"),
        sa.UniqueConstraint("patient_id", "issuer", name="uq_patient_patient_id_issuer"),
    )


def _create_study() -> None:
    op.create_table(
        "study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("patient_key", sa.Integer(), nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("birth_date", sa.Text(), nullable=False),
        sa.Column("sex", sa.Text(), nullable=False),
        sa.Column("accession_number", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("acquired_at", sa.BigInteger(), nullable=True),
        sa.Column("ct_acquired_at", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("state_since", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("has_late_instances", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("has_identity_conflict", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("last_instance_at", sa.BigInteger(), nullable=False),
        sa.Column("instance_count", sa.Integer(), nullable=False),
        sa.Column("conflict_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.id"], name="fk_study_patient_key"),
        sa.PrimaryKeyConstraint("id", name="pk_study"),
        sa.UniqueConstraint("study_instance_uid", name="uq_study_study_instance_uid"),
    )
    op.create_index("ix_study_last_instance_at", "study", ["last_instance_at"])
    op.create_index("ix_study_patient_key_ct_acquired_at", "study", ["patient_key", "ct_acquired_at"])
    op.create_index("ix_study_state_state_since", "study", ["state", "state_since"])


def _create_series() -> None:
    op.create_table(
        "series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("body_part", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_series_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("study_id", "series_instance_uid", name="uq_series_study_id_series_instance_uid"),
    )


def _create_instance() -> None:
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("copy", sa.Integer(), nullable=False),
        sa.Column("use", sa.String(24), nullable=False),
        sa.Column("patient_key", sa.Integer(), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(64), nullable=False),
        sa.Column("instance_number", sa.Integer(), nullable=True),
        sa.Column("acquired_at", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("relative_path", sa.Text(), nullable=False),
        sa.Column("calling_aet", sa.String(16), nullable=False),
        sa.Column("called_aet", sa.String(16), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.id"], name="fk_instance_patient_key"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_instance_series_id"),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
        sa.UniqueConstraint(
            "series_id", "sop_instance_uid", "copy", name="uq_instance_series_id_sop_instance_uid_copy"
        ),
    )


def _create_attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(24), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_attempt_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_attempt"),
    )
    op.create_index("ix_attempt_study_id_revision", "attempt", ["study_id", "revision"])
    op.create_index(
        "uq_attempt_open",
        "attempt",
        ["study_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _create_result() -> None:
    op.create_table(
        "result",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_result_attempt_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_result_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_result"),
        sa.UniqueConstraint("attempt_id", name="uq_result_attempt_id"),
        sa.UniqueConstraint("study_id", "revision", name="uq_result_study_id_revision"),
    )


def _create_result_file() -> None:
    op.create_table(
        "result_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("result_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["result_id"], ["result.id"], name="fk_result_file_result_id"),
        sa.PrimaryKeyConstraint("id", name="pk_result_file"),
    )
    op.create_index("ix_result_file_result_id", "result_file", ["result_id"])
    op.create_index("ix_result_file_sop_instance_uid", "result_file", ["sop_instance_uid"])


def _create_delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("result_file_id", sa.Integer(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_try_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("last_status", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["result_file_id"], ["result_file.id"], name="fk_delivery_result_file_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_delivery_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sa.UniqueConstraint("result_file_id", "destination", name="uq_delivery_result_file_id_destination"),
    )
    op.create_index("ix_delivery_state_destination_next_try_at", "delivery", ["state", "destination", "next_try_at"])
    op.create_index("ix_delivery_study_id_state", "delivery", ["study_id", "state"])


def _create_history() -> None:
    op.create_table(
        "history",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(24), nullable=False),
        sa.Column("from_state", sa.String(24), nullable=True),
        sa.Column("to_state", sa.String(24), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_history_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_history"),
    )
    op.create_index("ix_history_study_id", "history", ["study_id"])


def _create_heartbeat() -> None:
    op.create_table(
        "heartbeat",
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("info", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("process", name="pk_heartbeat"),
    )
