import pytest

from jobs.registry.ui_links import run_page, version_page


def test_pages_of_mlflows_ui() -> None:
    server = "http://127.0.0.1:5000"
    assert run_page(server, "1", "ab12") == "http://127.0.0.1:5000/#/experiments/1/runs/ab12"
    assert version_page(f"{server}/", "ride-duration", 7) == (
        "http://127.0.0.1:5000/#/models/ride-duration/versions/7"
    )
    assert version_page("https://host/mlflow", "a/b c", "7") == (
        "https://host/mlflow/#/models/a%2Fb%20c/versions/7"
    )


@pytest.mark.parametrize("tracking_uri", ["https://ann:s3cr%40et@host:8443/x?token=s3cr", "https://t0k@host"])
def test_addresses_are_printed_without_credentials(tracking_uri: str) -> None:
    for page in (run_page(tracking_uri, "1", "ab12"), version_page(tracking_uri, "m", 1)):
        assert page.startswith("https://host")
        assert not any(secret in page for secret in ("s3cr", "ann", "t0k", "@"))


@pytest.mark.parametrize(
    "tracking_uri", ["sqlite:////tmp/mlflow.db", "databricks", "/folder", "file:///folder"]
)
def test_without_a_server_there_is_no_page(tracking_uri: str) -> None:
    assert run_page(tracking_uri, "1", "ab12") == version_page(tracking_uri, "m", 1) == ""
