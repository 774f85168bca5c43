"""What contradicted when an operator said that it is one person all the same."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make the table, which is empty: what was shown before is not known, so what was said then waives nothing."""
    op.create_table(
        "waived_contradiction",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("merge_id", sa.Integer(), nullable=True),
        sa.Column("assignment_id", sa.Integer(), nullable=True),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("birth_date", sa.Text(), nullable=False),
        sa.Column("sex", sa.Text(), nullable=False),
        sa.Column("other_patient_name", sa.Text(), nullable=False),
        sa.Column("other_birth_date", sa.Text(), nullable=False),
        sa.Column("other_sex", sa.Text(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["merge_id"], ["patient_merge.id"], name="fk_waived_contradiction_merge_id"),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["study_assignment.id"], name="fk_waived_contradiction_assignment_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_waived_contradiction"),
    )
    for key in ("merge_id", "assignment_id"):
        op.create_index(f"ix_waived_contradiction_{key}", "waived_contradiction", [key])
