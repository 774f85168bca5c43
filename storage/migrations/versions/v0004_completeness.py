"""What completeness looks at: slice positions, associations that carry a study, notices about what there is."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Give instances a slice position; make the tables of associations and of notices."""
    op.add_column("instance", sa.Column("slice_position_mm", sa.Double(), nullable=True))
    op.create_table(
        "study_association",
        sa.Column("association", sa.String(32), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("calling_aet", sa.String(16), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("was_released", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_study_association_study_id"),
        sa.PrimaryKeyConstraint("association", "study_id", name="pk_study_association"),
    )
    op.create_index("ix_study_association_study_id", "study_association", ["study_id"])
    op.create_index("ix_study_association_ended_at", "study_association", ["ended_at"])
    op.create_table(
        "notice",
        sa.Column("notice_uid", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.Column("sop_instance_uids", sa.Text(), nullable=False),
        sa.Column("calling_aet", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("notice_uid", "study_instance_uid", name="pk_notice"),
    )
    op.create_index("ix_notice_study_instance_uid", "notice", ["study_instance_uid"])
    op.create_index("ix_notice_at", "notice", ["at"])
