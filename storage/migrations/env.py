"""Alembic's entry: runs the migrations on the connection that `migrate` hands over, in its transaction."""

from alembic import context

from storage.link_models import PatientMerge

context.configure(
    connection=context.config.attributes["connection"],
    # The tables of storage.models are in the same.
    target_metadata=PatientMerge.metadata,
    # SQLite can roll back a change of tables; with our own BEGIN it does.
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
