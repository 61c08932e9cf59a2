"""The functions' source archive, named by its content."""

import zipfile
from pathlib import Path

from jobs.packaging.manifest import content_hash, list_files

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Modification time of every entry: the earliest that a zip can store."""
MODE = 0o100644 << 16
"""Permissions of every entry."""
UNIX = 3
"""Creating system of every entry, whatever the real one."""


def write_archive(root: Path, folder: Path) -> Path:
    """Writes the files that .gcloudignore of `root` includes to `folder`/ridecast-HASH.zip.

    The same content gives the same name and the same bytes on every machine. Nothing is compressed, because
    zlib's output differs between versions, and the archive has only 200 KB.

    Raises:
        ManifestError: a file of the list is missing.
    """
    files = list_files(".gcloudignore", root)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"ridecast-{content_hash(files, root)}.zip"
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name in files:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = UNIX, MODE
            archive.writestr(entry, (root / name).read_bytes())
    return part.replace(path)
