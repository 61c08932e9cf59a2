"""python -m jobs archive: the functions' source archive, named by its content."""

import zipfile
from pathlib import Path

from jobs.packaging.manifest import content_hash, listed

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of every file: the first that a zip can tell."""
READABLE = 0o100644 << 16
"""The permissions of every file."""
UNIX = 3
"""Who made it, whoever did."""


def write_archive(house: Path, folder: Path) -> Path:
    """Writes what .gcloudignore of `house` lets through into `folder`/ridecast-HASH.zip.

    The same content gives the same name and the same bytes on every machine. Nothing is compressed, because
    zlib's bytes are not the same everywhere, and it is 200 KB.

    Raises:
        NothingListed: a file that should be shipped is not there.
    """
    files = listed(".gcloudignore", house)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"ridecast-{content_hash(files, house)}.zip"
    unfinished = path.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
        for name in files:
            entry = zipfile.ZipInfo(name, LONG_AGO)
            entry.create_system, entry.external_attr = UNIX, READABLE
            archive.writestr(entry, (house / name).read_bytes())
    return unfinished.replace(path)
