"""Single values in configuration files, read and changed with every other byte kept."""

from services.experiments.formats.editing import FORMATS, change, read
from services.experiments.formats.values import FormatError, Scalar, parts_of

__all__ = ["FORMATS", "FormatError", "Scalar", "change", "parts_of", "read"]
