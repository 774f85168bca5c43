"""Searches for earlier studies at a PACS; why a study is here."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Every study so far was received to be analysed; make the tables of searches."""
    op.add_column("study", sa.Column("origin", sa.String(24), server_default="received", nullable=False))
    op.create_table(
        "prior_fetch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("next_try_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("rerun_due", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_prior_fetch_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_prior_fetch"),
        sa.UniqueConstraint("study_id", "revision", "peer", name="uq_prior_fetch_study_id_revision_peer"),
    )
    op.create_index("ix_prior_fetch_state_peer_next_try_at", "prior_fetch", ["state", "peer", "next_try_at"])
    op.create_table(
        "found_prior",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("fetch_id", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("study_date", sa.Text(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("instance_count", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["fetch_id"], ["prior_fetch.id"], name="fk_found_prior_fetch_id"),
        sa.PrimaryKeyConstraint("id", name="pk_found_prior"),
        sa.UniqueConstraint("fetch_id", "study_instance_uid", name="uq_found_prior_fetch_id_study_instance_uid"),
    )
    op.create_index("ix_found_prior_study_instance_uid", "found_prior", ["study_instance_uid"])
