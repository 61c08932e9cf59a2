import hashlib
import threading
from pathlib import Path

import pytest

from functions.releases import ReleasedFile
from jobs.registry.model_store import EmptyModelFolder, atomic_write_bytes, build_manifest


def test_the_manifest_has_every_file_with_its_digest(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"")
    assert build_manifest(str(tmp_path)) == (
        ReleasedFile("a", 0, hashlib.sha256(b"").hexdigest()),
        ReleasedFile("sub/b", 3, hashlib.sha256(b"two").hexdigest()),
    )


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyModelFolder, match="contains no files"):
        build_manifest(str(tmp_path))


def test_a_write_is_atomic_for_readers(tmp_path: Path) -> None:
    pointer = tmp_path / "releases" / "champion.json"
    contents = [bytes([letter]) * 200_000 for letter in b"ab"]
    atomic_write_bytes(str(pointer), contents[0])
    stop = threading.Event()
    seen = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(pointer.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        atomic_write_bytes(str(pointer), contents[number % 2])
    stop.set()
    reader.join()
    assert seen <= set(contents)
    assert [path.name for path in pointer.parent.iterdir()] == ["champion.json"], "nothing is left over"
