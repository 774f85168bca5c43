"""What was found in the studies of runs over an archive, kept with the run."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the table, which is empty: what ended before is read from the results while these are here."""
    op.create_table(
        "batch_finding",
        sa.Column("batch_study_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("lesions", sa.Integer(), nullable=False),
        sa.Column("priors_used", sa.Integer(), nullable=False),
        sa.Column("patient_score", sa.Double(), nullable=False),
        sa.Column("involvement_percent", sa.Double(), nullable=False),
        sa.Column("lesion_volume_ml", sa.Double(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("algorithm_version", sa.Text(), nullable=False),
        sa.Column("weights_sha256", sa.Text(), nullable=False),
        sa.Column("qualifications", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["batch_study_id"], ["batch_study.id"], name="fk_batch_finding_batch_study_id"),
        sa.PrimaryKeyConstraint("batch_study_id", name="pk_batch_finding"),
    )
