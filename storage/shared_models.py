"""Table of the folder that several machines share."""

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models import Base


class SharedFolder(Base):
    """The one data folder of an index, as every machine sees it."""

    __tablename__ = "shared_folder"

    token: Mapped[str] = mapped_column(Text, primary_key=True)
    """What the file says that marks it."""
    path: Mapped[str] = mapped_column(Text)
    """Results lie in the index by their whole path, so every machine has it there."""
