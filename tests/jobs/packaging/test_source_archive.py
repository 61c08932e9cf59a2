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
from jobs.packaging.manifest import ManifestError, list_files
from jobs.packaging.source_archive import write_archive

PROJECT_ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path):
    """A project with files that are shipped, and files that are not."""
    project = tmp_path / "project"
    (project / "functions").mkdir(parents=True)
    (project / ".gcloudignore").write_text("# all\n/*\n!/main.py\n!/functions/\n!/functions/*.py\n")
    (project / "main.py").write_text("import functions.rides\n")
    (project / "functions" / "rides.py").write_text("RIDES = 1\n")
    (project / "functions" / "notes.md").write_text("not shipped\n")
    (project / "secret.py").write_text("not shipped\n")
    return project


def test_the_same_content_gives_the_same_bytes_and_the_same_name(project, tmp_path):
    first = write_archive(project, tmp_path / "one")
    copy = tmp_path / "again"
    # The same files, written in another order, at another time, with other permissions.
    for name in ("functions/rides.py", "main.py", ".gcloudignore"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / name, copy / name)
        (copy / name).chmod(0o700)
        os.utime(copy / name, (time.time() - 1e6,) * 2)
    second = write_archive(copy, tmp_path / "two")

    assert re.fullmatch(r"ridecast-[0-9a-f]{16}\.zip", first.name)
    assert (second.name, second.read_bytes()) == (first.name, first.read_bytes())
    with zipfile.ZipFile(first) as zipped:
        assert zipped.namelist() == ["functions/rides.py", "main.py"]
        assert zipped.read("main.py") == b"import functions.rides\n"
        assert {entry.external_attr >> 16 for entry in zipped.infolist()} == {0o100644}
    assert [path.name for path in (tmp_path / "one").iterdir()] == [first.name]


def rename_module(project):
    (project / "functions" / "rides.py").rename(project / "functions" / "zones.py")


@pytest.mark.parametrize(
    "change",
    [
        lambda project: (project / "functions" / "rides.py").write_text("RIDES = 2\n"),
        lambda project: (project / "functions" / "more.py").touch(),
        rename_module,
    ],
)
def test_different_content_has_a_different_name(project, tmp_path, change):
    before = write_archive(project, tmp_path)
    change(project)
    after = write_archive(project, tmp_path)

    assert after.name != before.name
    assert after.read_bytes() != before.read_bytes()


def test_files_that_are_not_shipped_do_not_change_the_name(project, tmp_path):
    before = write_archive(project, tmp_path)
    (project / "functions" / "notes.md").write_text("changed\n")
    (project / "README.md").write_text("new\n")

    assert write_archive(project, tmp_path) == before


def test_a_folder_includes_all_its_contents_except_excluded_names(project):
    (project / ".dockerignore").write_text("*\n!main.py\n!functions\n**/__pycache__\n")
    for name in ("functions/deep/er/a.py", "functions/deep/__pycache__/a.pyc", "functions/__pycache__/b.pyc"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()

    assert list_files(".dockerignore", project) == [
        "functions/deep/er/a.py",
        "functions/notes.md",
        "functions/rides.py",
        "main.py",
    ]


def test_a_file_that_is_missing_is_named(project):
    (project / "main.py").unlink()
    with pytest.raises(ManifestError, match=r"includes /main.py, but .* has no such file"):
        list_files(".gcloudignore", project)


def test_without_a_checkout_it_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "PROJECT_ROOT", tmp_path)
    result = CliRunner().invoke(archive.command, [])

    assert result.exit_code == 1
    assert "run this in a checkout" in result.output


def test_the_command_prints_only_the_path(tmp_path):
    result = CliRunner().invoke(archive.command, ["--output", str(tmp_path)])

    assert result.exit_code == 0, result.output
    (archive_path,) = tmp_path.iterdir()
    assert result.output == f"{archive_path}\n"
    with zipfile.ZipFile(archive_path) as zipped:
        assert zipped.testzip() is None
        assert {name: zipped.read(name) for name in zipped.namelist()} == {
            name: (PROJECT_ROOT / name).read_bytes() for name in list_files(".gcloudignore", PROJECT_ROOT)
        }


def test_the_tag_is_the_hash_of_all_files_of_an_image(monkeypatch, tmp_path):
    files = list_files(".dockerignore", PROJECT_ROOT)
    copy = tmp_path / "project"
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / name, copy / name)
    here = CliRunner().invoke(tag.command, []).output.strip()
    monkeypatch.setattr(tag, "PROJECT_ROOT", copy)

    assert CliRunner().invoke(tag.command, []).output.strip() == here
    lines = [f"{hashlib.sha256((PROJECT_ROOT / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    assert hashlib.sha256("".join(lines).encode()).hexdigest().startswith(here), "as sha256sum prints it"
    for name in ("Dockerfile", "requirements-jobs.txt", "jobs/scoring/views.sql", "functions/zones.csv"):
        before = (copy / name).read_bytes()
        (copy / name).write_bytes(before + b"\n")
        assert CliRunner().invoke(tag.command, []).output.strip() != here, name
        (copy / name).write_bytes(before)
