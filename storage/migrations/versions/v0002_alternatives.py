"""Deliveries that stand by for what a destination declines; what a destination accepts by negotiation."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ROLE_OF_EVERY_DELIVERY = """
UPDATE delivery SET role = (
    SELECT CASE
        WHEN result_file.kind = 'sr' THEN 'report'
        WHEN result_file.kind IN ('seg-lungs', 'seg-lesions') THEN 'segmentations'
        ELSE result_file.kind
    END
    FROM result_file WHERE result_file.id = delivery.result_file_id
)
"""


def upgrade() -> None:
    """Give each delivery a role, without an alternative; make the table of accepted classes."""
    op.add_column("delivery", sa.Column("role", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("delivery", sa.Column("rank", sa.Integer(), server_default="0", nullable=False))
    op.add_column("delivery", sa.Column("may_be_declined", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute(_ROLE_OF_EVERY_DELIVERY)
    op.create_table(
        "negotiated_class",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(64), nullable=False),
        sa.Column("refusal", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("destination", "sop_class_uid", name="pk_negotiated_class"),
    )
