"""The wheel that this Ligand was installed from, made again from its files, so that it can install itself.

Source of the format: PEP 427 (wheels) and PEP 376 (RECORD).
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution
from pathlib import Path

from tools.ligand.layout import InstallError

NOT_IN_WHEEL = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The same for every file, so that the same Ligand gives the same wheel."""


def is_installed(root: Path) -> bool:
    """Whether the folder holds an installed Ligand (a site-packages), not a source tree."""
    try:
        found = distribution("ligand")
    except PackageNotFoundError:
        return False
    return Path(str(found.locate_file(""))).resolve() == root.resolve() and found.files is not None


def repack(folder: Path) -> Path:
    """Write the wheel into `folder`. Raises `InstallError` when a file is not as it was installed."""
    found = distribution("ligand")
    wheel = folder / f"ligand-{found.version}-py3-none-any.whl"
    record = ""
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as made:
        for file in _files(found):
            content = _content(file)
            made.writestr(zipfile.ZipInfo(str(file), _WHEN), content)
            record += f"{file},sha256={_hash(content)},{len(content)}\n"
        name = f"ligand-{found.version}.dist-info/RECORD"
        made.writestr(zipfile.ZipInfo(name, _WHEN), f"{record}{name},,\n")
    return wheel


def _files(found: Distribution) -> Iterator[PackagePath]:
    for file in sorted(found.files or ()):
        outside = ".." in file.parts or file.is_absolute()
        if not (outside or file.suffix == ".pyc" or (".dist-info" in file.parts[0] and file.name in NOT_IN_WHEEL)):
            yield file


def _content(file: PackagePath) -> bytes:
    try:
        content = Path(str(file.locate())).read_bytes()
    except OSError as error:
        raise InstallError(f"{file.locate()}: {error.strerror}. This Ligand is not whole; install it again.") from error
    if file.hash is not None and (file.hash.mode, file.hash.value) != ("sha256", _hash(content)):
        raise InstallError(f"{file.locate()} is not as it was installed. Install from a tree or a wheel: --from.")
    return content


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
