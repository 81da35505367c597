"""Where data files are, and reading them so that a wrong byte is never used.

Every file that the image experiment needs is known by the SHA-256 of its content. A file that is
altered, cut short or missing is reported by name, with the expected and the found hash and size,
before any work starts.
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from gmmtf.arguments import checked
from gmmtf.atomic import replacing

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

REMEDY = (
    "Put it there, or set the environment variable GMMTF_DATA to a folder with mnist/ and "
    "checkpoints/, such as data/ of the repository"
)
"""What helps who lacks a file, for instance since the package came without the repository."""


class DataError(RuntimeError):
    """A data file is missing, altered or malformed; the message says which and how."""


@dataclass(frozen=True)
class KnownFile:
    """A data file: its name, and the size in bytes and SHA-256 of its uncompressed content."""

    name: str
    size: int
    sha256: str


@checked
def data_root(root: str | Path | None = None) -> Path:
    """Return the folder that holds ``mnist/`` and ``checkpoints/``.

    The first of: ``root``; the environment variable GMMTF_DATA; ``data/`` of the checkout that this
    package runs from; ``gmmtf/`` in the user's cache folder (XDG_CACHE_HOME, else ~/.cache, else,
    with a warning, that of temporary files).
    """
    if root is not None:
        return Path(root).expanduser()
    if os.environ.get("GMMTF_DATA"):
        return Path(os.environ["GMMTF_DATA"]).expanduser()
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "data").is_dir():
        return checkout / "data"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if cache.parts[0] == "~":  # there is no home folder
        cache = Path(gettempdir())
        warnings.warn(
            f"without a home folder data are kept in {cache / 'gmmtf'}; set GMMTF_DATA to a folder",
            stacklevel=2,
        )
    return cache / "gmmtf"


def _can_be_written(folder: Path) -> bool:
    """Whether files can be written in a folder, which is made if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


@checked
def verify(content: bytes, known: KnownFile, where: str | Path) -> bytes:
    """Return ``content`` if its size and SHA-256 are the known ones, else raise ``DataError``."""
    found = hashlib.sha256(content).hexdigest()
    if found != known.sha256 or len(content) != known.size:
        raise DataError(
            f"{where}: not the expected content. "
            f"Expected {known.size} bytes with sha256 {known.sha256}, "
            f"found {len(content)} bytes with sha256 {found}. "
            "Restore the file from the repository, or delete it to have it fetched again."
        )
    return content


@checked
def read_pinned(path: Path, sha256: str, origin: str) -> bytes:
    """Return the content of a file if its SHA-256 is the known one, else raise ``DataError``.

    Parameters
    ----------
    origin
        Where the file comes from, a sentence for whoever lacks it.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing. Expected: sha256 {sha256}. {REMEDY}. {origin}.")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path}: not the expected content. Expected sha256 {sha256}, "
            f"found {found} ({len(content)} bytes). {origin}."
        )
    return content


@checked
def decompress(packed: bytes, known: KnownFile, where: str | Path) -> bytes:
    """Return the verified content of a gzip file; damage of any kind raises ``DataError``."""
    unpacker = zlib.decompressobj(wbits=31)  # 31: gzip, checksum included
    try:
        # Stopping one byte past the expected size keeps a hostile file from filling the memory.
        content = unpacker.decompress(packed, known.size + 1)
    except zlib.error as error:
        raise DataError(
            f"{where}: damaged gzip file ({error}); found {len(packed)} compressed bytes with "
            f"sha256 {hashlib.sha256(packed).hexdigest()}. Expected a gzip file whose content has "
            f"{known.size} bytes and sha256 {known.sha256}. "
            "Restore the file, or delete it to have it fetched again."
        ) from error
    return verify(content, known, where)


@checked
def fetch(known: KnownFile, path: Path) -> bytes:
    """Download a .gz file from the first mirror that has it right, and store it at ``path``.

    The mirrors compress differently, so it is the uncompressed content that is verified. Where
    nothing can be stored, a warning says so.

    Returns
    -------
    bytes
        The verified, uncompressed content.

    Raises
    ------
    DataError
        If no mirror gave the file; nothing is written then.
    ImportError
        If pooch is not installed.
    """
    missing = f"{path} is missing. Expected: gzip of {known.size} bytes with sha256 {known.sha256}"
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f"{missing}. {REMEDY}. Downloading it needs pooch: pip install 'gmmtf[images]'"
        ) from error
    reports = []
    with TemporaryDirectory() as spare:
        kept = _can_be_written(path.parent)
        for mirror in MIRRORS:
            url = f"{mirror}{known.name}.gz"
            try:
                with replacing(path if kept else Path(spare, path.name)) as partial:
                    pooch.HTTPDownloader()(url, str(partial), None)
                    content = decompress(partial.read_bytes(), known, url)
            except (OSError, DataError) as error:  # requests' errors are OSErrors
                reports.append(f"{url}: {error}")
                continue
            if not kept:
                warnings.warn(
                    f"{path.parent} cannot be written, so {path.name} will be fetched every time; "
                    "set GMMTF_DATA to a folder for data",
                    stacklevel=2,
                )
            return content
    raise DataError(f"{missing}. It could not be fetched. {REMEDY}. Tried: {'; '.join(reports)}")


@checked
def read_compressed(known: KnownFile, folder: Path, *, download: bool = True) -> bytes:
    """Return the verified content of a .gz file in ``folder``, fetching the file if it is missing.

    Raises
    ------
    DataError
        If the file is altered or damaged, or missing and not to be had.
    ImportError
        If the file is missing and pooch, which fetches it, too.
    """
    path = folder / f"{known.name}.gz"
    if path.is_file():
        return decompress(path.read_bytes(), known, path)
    if not download:
        raise DataError(
            f"{path} is missing. Expected: gzip of {known.size} bytes with sha256 {known.sha256}. "
            f"{REMEDY}."
        )
    return fetch(known, path)
