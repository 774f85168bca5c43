"""What the rules of a site decided about each run of a study."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table of decisions; of a study one holds at a time."""
    op.create_table(
        "rule_decision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("holds", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("rule_text", sa.Text(), nullable=False),
        sa.Column("runs", sa.Boolean(), nullable=False),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("destinations", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_rule_decision_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rule_decision"),
    )
    op.create_index("ix_rule_decision_study_id", "rule_decision", ["study_id"])
    op.create_index(
        "uq_rule_decision_holds",
        "rule_decision",
        ["study_id"],
        unique=True,
        sqlite_where=sa.text("holds IS 1"),
        postgresql_where=sa.text("holds IS true"),
    )
