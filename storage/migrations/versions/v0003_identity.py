"""Patients whom instances name against their study; merges of patients; studies that were assigned to a patient."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the three tables; nothing that is there changes."""
    op.create_table(
        "foreign_patient",
        sa.Column("instance_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("birth_date", sa.Text(), nullable=False),
        sa.Column("sex", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name="fk_foreign_patient_instance_id"),
        sa.PrimaryKeyConstraint("instance_id", name="pk_foreign_patient"),
    )
    _create_said("patient_merge", {"one_key": "patient.id", "other_key": "patient.id"})
    _create_said("study_assignment", {"study_id": "study.id", "patient_key": "patient.id"})


def _create_said(name: str, keys: dict[str, str]) -> None:
    """A table of what operators said, with an index for each key."""
    op.create_table(
        name,
        sa.Column("id", sa.Integer(), nullable=False),
        *(sa.Column(key, sa.Integer(), nullable=False) for key in keys),
        sa.Column("although_contradicting", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        *(sa.ForeignKeyConstraint([key], [to], name=f"fk_{name}_{key}") for key, to in keys.items()),
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
    )
    for key in keys:
        op.create_index(f"ix_{name}_{key}", name, [key])
