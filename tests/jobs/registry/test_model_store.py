import hashlib
import threading
from pathlib import Path

import pytest

from functions.releases import ReleasedFile
from jobs.registry.model_store import BucketError, take_stock, write_whole


def test_stock_is_every_file_with_its_digest(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"")
    assert take_stock(str(tmp_path)) == (
        ReleasedFile("a", 0, hashlib.sha256(b"").hexdigest()),
        ReleasedFile("sub/b", 3, hashlib.sha256(b"two").hexdigest()),
    )


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(BucketError, match="holds no files"):
        take_stock(str(tmp_path))


def test_readers_see_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    pointer = tmp_path / "releases" / "champion.json"
    contents = [bytes([letter]) * 200_000 for letter in b"ab"]
    write_whole(str(pointer), contents[0])
    done = threading.Event()
    seen = set()

    def read() -> None:
        while not done.is_set():
            seen.add(pointer.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(100):
        write_whole(str(pointer), contents[turn % 2])
    done.set()
    reader.join()
    assert seen <= set(contents)
    assert [path.name for path in pointer.parent.iterdir()] == ["champion.json"], "nothing is left over"
