import io
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.storage.errors import FileAccessError, NotPublished
from jobs.trips import synthetic
from jobs.trips.download import download_months, find_trips, generate_months


def parquet(value: str) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"from": [value]}), file)
    return file.getvalue()


MONTH = parquet("TLC")


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
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def _small_months(monkeypatch):
    monkeypatch.setattr(synthetic.write_month, "__defaults__", (10, 1.0, "green"))


def serve_tlc(server):
    for name in ("green_tripdata_2021-01.parquet", "green_tripdata_2021-02.parquet"):
        server.files[f"/{name}"] = MONTH


def test_local_files_and_folders_are_used_in_place(tmp_path, cache):
    month = tmp_path / "march.parquet"
    month.write_bytes(MONTH)

    trips = find_trips([str(month), str(tmp_path)], cache)

    assert trips.files == [str(month), str(tmp_path)]
    assert trips.source == f"{month}, {tmp_path} (TRIPS)"


def test_a_missing_local_file_is_an_error(cache):
    with pytest.raises(FileAccessError, match=r"TRIPS: nowhere\.parquet does not exist"):
        find_trips(["nowhere.parquet"], cache)


def test_an_address_is_downloaded_once(server, cache):
    server.files["/march.parquet"] = MONTH
    url = f"{server.url}march.parquet"

    first = find_trips([url], cache)
    second = find_trips([url], cache)

    assert first == second
    with open(first.files[0], "rb") as file:  # noqa: PTH123
        assert file.read() == MONTH
    assert server.requested == ["/march.parquet"]


def test_an_address_that_answers_with_an_error_is_an_error(server, cache):
    with pytest.raises(FileAccessError, match="404"):
        find_trips([f"{server.url}nothing.parquet"], cache)


@pytest.mark.parametrize("content", [b"", b"PA", b"<html>PAR1", b"PAR1 cut off"])
def test_an_incomplete_parquet_file_stays_out_of_the_cache(server, cache, content):
    server.files["/march.parquet"] = content

    with pytest.raises(FileAccessError, match="not a complete Parquet file"):
        find_trips([f"{server.url}march.parquet"], cache)

    assert not cache.exists()


def test_a_table_as_text_is_downloaded_too(server, cache):
    server.files["/march.csv"] = b"PULocationID,DOLocationID"

    (file,) = find_trips([f"{server.url}march.csv"], cache).files

    assert file.endswith("-march.csv")


def test_an_interrupted_download_stays_out_of_the_cache(server, cache):
    serve_tlc(server)
    server.cut.append(True)

    trips = find_trips([], cache, tlc_url=server.url)

    assert trips.source.startswith("generated trips")
    assert not list(cache.glob("*.parquet"))


def test_by_default_tlcs_months_are_downloaded_and_cached(server, cache):
    serve_tlc(server)

    downloaded = find_trips([], cache, tlc_url=server.url)
    cached = find_trips([], cache, tlc_url="http://127.0.0.1:9/")

    assert downloaded.files == cached.files
    assert downloaded.source == "TLC's green taxis, 2021-01 and 2021-02, downloaded"
    assert cached.source == "TLC's green taxis, 2021-01 and 2021-02, from the cache"
    assert len(list(cache.iterdir())) == 2


def test_without_a_network_months_are_generated_apart_from_tlcs(cache):
    trips = find_trips([], cache, tlc_url="http://127.0.0.1:9/")

    assert trips.source.startswith("generated trips, 2021-01 and 2021-02")
    assert trips.files == [str(path) for path in sorted((cache / "generated").iterdir())]


def test_tlcs_months_replace_generated_ones(server, cache):
    serve_tlc(server)
    months = [date(2021, 1, 1), date(2021, 2, 1)]
    generated = generate_months("green", months, cache)

    downloaded = download_months("green", months, cache, server.url)

    assert downloaded == generated
    assert {path.read_bytes() for path in downloaded} == {MONTH}


def test_a_month_that_tlc_does_not_have_is_an_error_of_its_own(server, cache):
    with pytest.raises(NotPublished, match=r"green_tripdata_2030-01\.parquet answered 404"):
        download_months("green", [date(2030, 1, 1)], cache, server.url)
