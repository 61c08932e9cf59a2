import hashlib
import os
import re
import shutil
import time
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.commands import archive, tag
from jobs.packaging.manifest import NothingListed, listed
from jobs.packaging.source_archive import write_archive

PROJECT_ROOT = Path(__file__).parents[3]


@pytest.fixture
def house(tmp_path):
    """A house with what is shipped, and with what is not."""
    house = tmp_path / "house"
    (house / "functions").mkdir(parents=True)
    (house / ".gcloudignore").write_text("# all\n/*\n!/main.py\n!/functions/\n!/functions/*.py\n")
    (house / "main.py").write_text("import functions.rides\n")
    (house / "functions" / "rides.py").write_text("RIDES = 1\n")
    (house / "functions" / "notes.md").write_text("not shipped\n")
    (house / "secret.py").write_text("not shipped\n")
    return house


def test_the_same_content_gives_the_same_bytes_and_the_same_name(house, tmp_path):
    first = write_archive(house, tmp_path / "one")
    again = tmp_path / "again"
    # Made anew in another order, at another time, by a person with other habits.
    for name in ("functions/rides.py", "main.py", ".gcloudignore"):
        (again / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(house / name, again / name)
        (again / name).chmod(0o700)
        os.utime(again / name, (time.time() - 1e6,) * 2)
    second = write_archive(again, tmp_path / "two")

    assert re.fullmatch(r"ridecast-[0-9a-f]{16}\.zip", first.name)
    assert (second.name, second.read_bytes()) == (first.name, first.read_bytes())
    with zipfile.ZipFile(first) as zipped:
        assert zipped.namelist() == ["functions/rides.py", "main.py"]
        assert zipped.read("main.py") == b"import functions.rides\n"
        assert {entry.external_attr >> 16 for entry in zipped.infolist()} == {0o100644}
    assert [path.name for path in (tmp_path / "one").iterdir()] == [first.name]


def moved(house):
    (house / "functions" / "rides.py").rename(house / "functions" / "zones.py")


@pytest.mark.parametrize(
    "change",
    [
        lambda house: (house / "functions" / "rides.py").write_text("RIDES = 2\n"),
        lambda house: (house / "functions" / "more.py").touch(),
        moved,
    ],
)
def test_other_content_has_another_name(house, tmp_path, change):
    before = write_archive(house, tmp_path)
    change(house)
    after = write_archive(house, tmp_path)

    assert after.name != before.name
    assert after.read_bytes() != before.read_bytes()


def test_what_is_not_shipped_does_not_change_the_name(house, tmp_path):
    before = write_archive(house, tmp_path)
    (house / "functions" / "notes.md").write_text("changed\n")
    (house / "README.md").write_text("new\n")

    assert write_archive(house, tmp_path) == before


def test_a_folder_is_all_that_is_in_it_but_what_is_never_listed(house):
    (house / ".dockerignore").write_text("*\n!main.py\n!functions\n**/__pycache__\n")
    for name in ("functions/deep/er/a.py", "functions/deep/__pycache__/a.pyc", "functions/__pycache__/b.pyc"):
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).touch()

    assert listed(".dockerignore", house) == [
        "functions/deep/er/a.py",
        "functions/notes.md",
        "functions/rides.py",
        "main.py",
    ]


def test_a_file_that_is_missing_is_named(house):
    (house / "main.py").unlink()
    with pytest.raises(NothingListed, match=r"lets /main.py through, but .* has no such file"):
        listed(".gcloudignore", house)


def test_without_a_checkout_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "PROJECT_ROOT", tmp_path)
    result = CliRunner().invoke(archive.command, [])

    assert result.exit_code == 1
    assert "this needs a checkout" in result.output


def test_the_command_prints_the_path_alone(tmp_path):
    result = CliRunner().invoke(archive.command, ["--output", str(tmp_path)])

    assert result.exit_code == 0, result.output
    (made,) = tmp_path.iterdir()
    assert result.output == f"{made}\n"
    with zipfile.ZipFile(made) as zipped:
        assert zipped.testzip() is None
        assert {name: zipped.read(name) for name in zipped.namelist()} == {
            name: (PROJECT_ROOT / name).read_bytes() for name in listed(".gcloudignore", PROJECT_ROOT)
        }


def test_the_tag_is_of_all_that_an_image_is_made_of(monkeypatch, tmp_path):
    files = listed(".dockerignore", PROJECT_ROOT)
    copy = tmp_path / "house"
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / name, copy / name)
    here = CliRunner().invoke(tag.command, []).output.strip()
    monkeypatch.setattr(tag, "PROJECT_ROOT", copy)

    assert CliRunner().invoke(tag.command, []).output.strip() == here
    lines = [f"{hashlib.sha256((PROJECT_ROOT / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    assert hashlib.sha256("".join(lines).encode()).hexdigest().startswith(here), "as sha256sum would say it"
    for name in ("Dockerfile", "requirements-jobs.txt", "jobs/scoring/views.sql", "functions/zones.csv"):
        before = (copy / name).read_bytes()
        (copy / name).write_bytes(before + b"\n")
        assert CliRunner().invoke(tag.command, []).output.strip() != here, name
        (copy / name).write_bytes(before)
