"""What a run leaves."""

from datetime import date
from pathlib import Path

from functions.releases import Release
from jobs.local.emulators import object_path
from jobs.local.results import Results


class Cloud:
    """Holds a model in its storage, and reports as `jobs report` does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reported: list[str] = []
        model = object_path(folder, RELEASE.location)
        model.mkdir(parents=True)
        (model / "MLmodel").write_text("flavors: {}")

    def run(self, *arguments: str, **_options: object) -> None:
        self.reported.append(arguments[2])
        Path(arguments[4]).write_text("<html>")


class Screen:
    def step(self, _name: str):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


RELEASE = Release(name="ride-duration", version="1", location="gs://bucket/1/artifacts")


def test_the_model_and_a_report_on_the_last_month_replace_those_of_the_run_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results, cloud = (
        Results(["january", "my february"], Path("left"), date(2021, 2, 3)),
        Cloud(tmp_path / "cloud"),
    )
    results.model.mkdir(parents=True)
    (results.model / "old").touch()

    results.save(cloud, Screen(), RELEASE)

    assert [path.name for path in results.model.iterdir()] == ["MLmodel"]
    assert cloud.reported == ["my february"]
    text = results.description()
    assert "  left/report.html " in text
    assert "-m jobs score --trips 'my february' --model left/model --output left/predictions" in text
    assert text.endswith(" --year 2021 --month 2")


def test_one_month_is_not_compared_with_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results, cloud = (
        Results(["green_2021-01.parquet"], Path("left"), date(2021, 1, 3)),
        Cloud(tmp_path / "cloud"),
    )

    results.save(cloud, Screen(), RELEASE)

    assert cloud.reported == []
    assert "report.html" not in results.description()
    assert "  left/model " in results.description()
    assert results.description().endswith("--output left/predictions")
