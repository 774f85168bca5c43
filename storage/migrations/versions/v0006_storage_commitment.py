"""Storage commitment with destinations and callers; destinations that cannot be reached."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables; let instances be found by their UID, deliveries by the end of their sending."""
    _create_asked()
    _create_inquiries()
    op.create_table(
        "destination_outage",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("destination", name="pk_destination_outage"),
    )
    op.create_index("ix_instance_sop_instance_uid", "instance", ["sop_instance_uid"])
    op.create_index("ix_delivery_destination_settled_at", "delivery", ["destination", "settled_at"])


def _create_asked() -> None:
    """What destinations are asked."""
    op.create_table(
        "commitment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("result_id", sa.Integer(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=True),
        sa.Column("next_try_at", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["result_id"], ["result.id"], name="fk_commitment_result_id"),
        sa.PrimaryKeyConstraint("id", name="pk_commitment"),
        sa.UniqueConstraint("result_id", "destination", name="uq_commitment_result_id_destination"),
    )
    op.create_index(
        "ix_commitment_state_destination_next_try_at", "commitment", ["state", "destination", "next_try_at"]
    )
    op.create_table(
        "commitment_transaction",
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("commitment_id", sa.Integer(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("reported_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["commitment_id"], ["commitment.id"], name="fk_commitment_transaction_commitment_id"),
        sa.PrimaryKeyConstraint("transaction_uid", name="pk_commitment_transaction"),
    )
    op.create_index("ix_commitment_transaction_commitment_id", "commitment_transaction", ["commitment_id"])
    op.create_table(
        "commitment_object",
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("commitment_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=False),
        sa.Column("resends", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name="fk_commitment_object_delivery_id"),
        sa.ForeignKeyConstraint(["commitment_id"], ["commitment.id"], name="fk_commitment_object_commitment_id"),
        sa.PrimaryKeyConstraint("delivery_id", name="pk_commitment_object"),
    )
    op.create_index("ix_commitment_object_commitment_id", "commitment_object", ["commitment_id"])
    op.create_index("ix_commitment_object_state", "commitment_object", ["state"])


def _create_inquiries() -> None:
    """What callers ask."""
    op.create_table(
        "commitment_inquiry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("calling_aet", sa.String(16), nullable=False),
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_commitment_inquiry"),
        sa.UniqueConstraint("calling_aet", "transaction_uid", name="uq_commitment_inquiry_calling_aet_transaction_uid"),
    )
    op.create_index("ix_commitment_inquiry_state_next_try_at", "commitment_inquiry", ["state", "next_try_at"])
    op.create_table(
        "commitment_inquired",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("inquiry_id", sa.Integer(), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["inquiry_id"], ["commitment_inquiry.id"], name="fk_commitment_inquired_inquiry_id"),
        sa.PrimaryKeyConstraint("id", name="pk_commitment_inquired"),
    )
    op.create_index("ix_commitment_inquired_inquiry_id", "commitment_inquired", ["inquiry_id"])
