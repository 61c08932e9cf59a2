import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobs.storage.errors import FileAccessError
from jobs.trips import synthetic
from jobs.trips.download import find_trips

MONTH = b"PAR1 a month of trips PAR1"


@pytest.fixture
def server():
    """Serves its `files`; if `cut` is set, bodies end before their Content-Length."""
    files, requested, cut = {}, [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.path)
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write((content or b"")[: 5 if cut else None])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/"
    server.files, server.requested, server.cut = files, requested, cut
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folders(tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    return tmp_path / "cache", folder


@pytest.fixture(autouse=True)
def _small_months(monkeypatch):
    monkeypatch.setattr(synthetic, "write_month", lambda month, path: path.write_text(str(month)))


def serve_tlc(server):
    for name in ("green_tripdata_2021-01.parquet", "green_tripdata_2021-02.parquet"):
        server.files[f"/{name}"] = MONTH


def test_a_local_file_is_used_in_place(tmp_path, folders):
    month = tmp_path / "march.parquet"
    month.write_bytes(MONTH)

    trips = find_trips([str(month)], *folders)

    assert trips.files == [str(month)]
    assert trips.source == f"{month} (TRIPS)"


def test_a_missing_local_file_is_an_error(folders):
    with pytest.raises(FileAccessError, match=r"no file nowhere\.parquet"):
        find_trips(["nowhere.parquet"], *folders)


def test_an_address_is_downloaded_once(server, folders):
    server.files["/march.parquet"] = MONTH
    url = f"{server.url}march.parquet"

    first = find_trips([url], *folders)
    second = find_trips([url], *folders)

    assert first == second
    with open(first.files[0], "rb") as file:  # noqa: PTH123
        assert file.read() == MONTH
    assert server.requested == ["/march.parquet"]


def test_an_address_that_answers_with_an_error_is_an_error(server, folders):
    with pytest.raises(FileAccessError, match="404"):
        find_trips([f"{server.url}nothing.parquet"], *folders)


@pytest.mark.parametrize("content", [b"", b"PA", b"<html>PAR1", b"PAR1 cut off"])
def test_an_incomplete_parquet_file_stays_out_of_the_cache(server, folders, content):
    server.files["/march.parquet"] = content

    with pytest.raises(FileAccessError, match="not a complete Parquet file"):
        find_trips([f"{server.url}march.parquet"], *folders)

    cache, _ = folders
    assert not cache.exists()


def test_an_interrupted_download_stays_out_of_the_cache(server, folders):
    serve_tlc(server)
    server.cut.append(True)

    trips = find_trips([], *folders, tlc_url=server.url)

    assert trips.source.startswith("synthetic trips")
    cache, _ = folders
    assert not cache.exists() or not list(cache.iterdir())


def test_by_default_tlcs_months_are_downloaded_and_cached(server, folders):
    serve_tlc(server)

    downloaded = find_trips([], *folders, tlc_url=server.url)
    cached = find_trips([], *folders, tlc_url="http://127.0.0.1:9/")

    assert downloaded.files == cached.files
    assert downloaded.source == "TLC's green taxis, 2021-01 and 2021-02, downloaded"
    assert cached.source == "TLC's green taxis, 2021-01 and 2021-02, from the cache"
    cache, folder = folders
    assert len(list(cache.iterdir())) == 2
    assert not list(folder.iterdir())


def test_without_a_network_synthetic_trips_are_generated(folders):
    trips = find_trips([], *folders, tlc_url="http://127.0.0.1:9/")

    cache, folder = folders
    assert trips.source.startswith("synthetic trips, 2021-01 and 2021-02")
    assert trips.files == [str(path) for path in sorted(folder.iterdir())]
    with contextlib.suppress(FileNotFoundError):
        assert not list(cache.iterdir())
