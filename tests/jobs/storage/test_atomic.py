import fcntl
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from jobs.storage.atomic import atomic_write
from jobs.storage.errors import FileAccessError
from jobs.storage.files import open_read


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with atomic_write(str(path)) as file:
        file.write(b"who")
        assert not path.exists()
        file.write(b"le")
    assert path.read_bytes() == b"whole"
    assert [file.name for file in path.parent.iterdir()] == ["file"]
    with open_read(str(path)) as again:
        assert again.read() == b"whole"


def test_a_failing_body_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with suppress(KeyboardInterrupt), atomic_write(str(path)) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_the_file_of_a_killed_writer_is_hidden_and_removed_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    program = (
        "import sys; from jobs.storage.atomic import atomic_write\n"
        f"with atomic_write({str(path)!r}) as file:\n"
        "    file.write(b'half'); file.flush(); print('written', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"written\n"
        with atomic_write(str(path)) as file:
            file.write(b"other")
        assert len(list(tmp_path.iterdir())) == 2, "a living writer keeps its file"
        writer.send_signal(signal.SIGKILL)
    parts = {file.name for file in tmp_path.iterdir()} - {"file"}
    assert len(parts) == 1
    assert parts.pop().startswith(".")
    with atomic_write(str(path)) as file:
        file.write(b"next")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"next"


def test_two_concurrent_writers_leave_one_complete_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([letter]) * 1_000_000 for letter in b"ab"]
    both = threading.Barrier(2)

    def write(content: bytes) -> None:
        with atomic_write(str(path)) as file:
            both.wait(10)
            file.write(content)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("uri", ["", ".", "/"])
def test_a_path_without_a_name_is_refused(uri: str) -> None:
    with pytest.raises(FileAccessError, match="is not a file: give the path of a file"), atomic_write(uri):
        pass


def test_a_folder_that_cannot_be_created_is_an_error() -> None:
    with (
        pytest.raises(FileAccessError, match="/dev/full/file cannot be used"),
        atomic_write("/dev/full/file"),
    ):
        pass


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path: Path, size: int) -> None:
    """While the file is written, or only when its last bytes are flushed."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    program = f"""
import resource
from jobs.storage.atomic import atomic_write
from jobs.storage.errors import FileAccessError, translate_errors
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
try:
    with atomic_write({str(path)!r}) as file, translate_errors({str(path)!r}):
        file.write(bytes({size}))
except FileAccessError as error:
    print(error)
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout == f"{path} cannot be used (File too large)\n"
    assert process.stderr == ""
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("uri", ["https://example.com/file", "s3://bucket/file"])
def test_only_paths_and_buckets_can_be_written(uri: str) -> None:
    with pytest.raises(FileAccessError, match="give a path or gs://"), atomic_write(uri):
        pass


def test_a_name_with_wildcards_is_not_a_pattern(tmp_path: Path) -> None:
    part = tmp_path / ".a.00000000.part"
    part.touch()
    with atomic_write(str(tmp_path / "[a]")) as file:
        file.write(b"x")
    assert part.exists(), "it belongs to another file"


def test_the_unfinished_file_is_locked(tmp_path: Path) -> None:
    with atomic_write(str(tmp_path / "file")):
        (part,) = tmp_path.iterdir()
        with part.open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
