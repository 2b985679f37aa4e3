"""download.py, with a server of its own: all of it whole and checked, or nothing."""

import errno
import hashlib
import io
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from course_utils.core.settings import REPOSITORY
from course_utils.data import catalog, download
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset

XML = (
    b"<annotation><object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
    b"<xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)
SPLITS = {"train": ["a", "b"], "val": ["c"], "test": ["d", "e", "f"]}


def files_of(*splits):
    """{path: content} of some of SPLITS, as official archives have them."""
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG")
    files = {"SegmentationClass/a.png": b"not needed", "JPEGImages/._a.jpg": b""}
    for split in splits:
        lines = "".join(f"{i}\n" for i in SPLITS[split])
        files[f"ImageSets/Main/{split}.txt"] = lines.encode()
        files[f"ImageSets/Main/dog_{split}.txt"] = b""
        for i in SPLITS[split]:
            files[f"JPEGImages/{i}.jpg"] = jpeg.getvalue()
            files[f"Annotations/{i}.xml"] = XML
    return files


def make_tar(files, *odd):
    """A tar of files in VOCdevkit/VOC2007; odd: ready TarInfo to put in between."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in "JPEGImages", "JPEGImages/folder.jpg":
            folder = tarfile.TarInfo(f"VOCdevkit/VOC2007/{name}")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
        for member in odd:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
        for name, content in files.items():
            member = tarfile.TarInfo(f"VOCdevkit/VOC2007/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def odd_member(name, kind=tarfile.REGTYPE, link="", size=1):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    member.size = size if kind == tarfile.REGTYPE else 0
    return member


def make_zip(files, top="BCCD_Dataset-d272/", odd=()):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(top, b"")
        for name, content in files.items():
            archive.writestr(f"{top}BCCD/{name}", content)
        for member in odd:
            archive.writestr(member, b"/etc/passwd")
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        page = self.server.pages.get(self.path)
        if callable(page):
            page(self)
        elif page is None:
            self.send_error(404)
        else:
            self.start(len(page))
            self.wfile.write(page)

    def start(self, length):
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server, and a machine without data whose download addresses lead to it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.asked, server.hold = [], threading.Event()
    good = {
        "/trainval.tar": make_tar(files_of("train", "val")),
        "/test.tar": make_tar(files_of("test")),
        "/bccd.zip": make_zip(files_of(*SPLITS)),
    }
    server.good, server.pages = good, dict(good)
    server.home = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    images = {split: len(ids) for split, ids in SPLITS.items()}
    for name, pages in (
        ("voc2007", ("/trainval.tar", "/test.tar")),
        ("bccd", ("/bccd.zip",)),
    ):
        sums = {p: hashlib.md5(good[p]).hexdigest() for p in pages if ".tar" in p}
        source = download.SOURCES[name]._replace(
            archives={server.home + p: sums.get(p) for p in pages},
            images=images,
            megabytes=1,
        )
        monkeypatch.setitem(download.SOURCES, name, source)
    monkeypatch.setattr(catalog, "REPOSITORY", tmp_path / "repository")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COURSE_OFFLINE")
    monkeypatch.delenv("COURSE_DATA", raising=False)
    yield server
    server.hold.set()
    server.shutdown()
    server.server_close()


def without_sums(monkeypatch):
    """Take the MD5 away, so that what an archive holds is looked at."""
    source = download.SOURCES["voc2007"]
    source = source._replace(archives=dict.fromkeys(source.archives))
    monkeypatch.setitem(download.SOURCES, "voc2007", source)


def refusal(name):
    """The one line of a download that fails."""
    with pytest.raises(FileNotFoundError) as error:
        find_data(name)
    line = str(error.value)
    assert "\n" not in line and error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None
    assert line.startswith(f"data set {name} is in none of ")
    assert "put the folder" in line and "lesson 1" in line
    return line


def seconds_of_refusal(name="bccd"):
    start = time.perf_counter()
    return refusal(name), time.perf_counter() - start


def left_in(tmp_path):
    """Everything in the cache, and what an archive may have put outside."""
    assert {p.name for p in tmp_path.iterdir()} <= {"cache", "repository"}
    return sorted(p.name for p in (tmp_path / "cache").rglob("*"))


def test_two_archives_become_one_data_set(server, tmp_path):
    root = find_data("voc2007")
    assert root == tmp_path / "cache" / "data" / "VOC2007"
    for split, ids in SPLITS.items():
        dataset = VOCDataset(root, split)
        assert dataset.ids == ids and len(dataset.classes) == 20
        assert dataset.classes[dataset[0][1]["labels"][0] - 1] == "dog"
        assert dataset[0][0].shape == (3, 20, 30)
    assert [p.name for p in root.parent.iterdir()] == ["VOC2007"], "nothing else stays"
    assert sorted(p.name for p in root.iterdir()) == [
        "Annotations",
        "ImageSets",
        "JPEGImages",
        "classes.txt",
    ]
    assert len(list(root.rglob("*.txt"))) == 4, "only the lists of all classes"
    assert len(list(root.rglob("*.jpg"))) == 6
    assert server.asked == ["/trainval.tar", "/test.tar"]
    assert find_data("voc2007") == root and len(server.asked) == 2, "only once"


def test_a_zip_of_github_becomes_a_data_set(server, tmp_path):
    root = find_data("bccd")
    assert root == tmp_path / "cache" / "data" / "BCCD"
    assert VOCDataset(root, "test", ["dog"]).ids == SPLITS["test"]
    assert (root / "classes.txt").read_text().split() == ["Platelets", "RBC", "WBC"]


def test_the_real_addresses():
    voc, bccd = download.SOURCES["voc2007"], download.SOURCES["bccd"]
    assert list(voc.archives.values()) == [
        "c52e279531787c972589f7e41ab4ae64",
        "b6e924de25625d8de591ea690078ad9f",
    ]
    for address in voc.archives:
        assert address.startswith("http://host.robots.ox.ac.uk/pascal/VOC/voc2007/VOCt")
    assert sum(voc.images.values()) == 9963 and len(voc.classes.split()) == 20
    assert voc.classes.split() == sorted(voc.classes.split()), "as without classes.txt"
    (address,) = bccd.archives
    assert address.startswith("https://github.com/Shenggan/BCCD_Dataset/archive/d272fb")
    assert sum(bccd.images.values()) == 364
    assert "tabletop" not in download.SOURCES


def short(handler):
    handler.start(1000)
    handler.wfile.write(b"x" * 700)


def short_chunks(handler):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"400\r\nxx")
    handler.close_connection = True


def endless(handler):
    handler.start(None)
    for _ in range(40):
        handler.wfile.write(b"x" * 100_000)


def stalled(handler):
    handler.start(1000)
    handler.wfile.write(b"x" * 700)
    handler.wfile.flush()
    handler.server.hold.wait(300)


ANSWERS = [
    (None, "404: Not Found"),
    (short, "broke off at 700 of 1,000 bytes"),
    (short_chunks, "broke off .IncompleteRead"),
    (endless, "gives more than 1,000,000 bytes"),
    (stalled, "broke off .Timeout"),
    (b"<html>Please log in</html>", "MD5 [0-9a-f]{32}, expected [0-9a-f]{32}"),
]


@pytest.mark.parametrize("page, words", ANSWERS, ids=[w for _, w in ANSWERS])
@pytest.mark.parametrize("place", ["/trainval.tar", "/test.tar"])
def test_a_broken_answer_leaves_nothing(
    server, tmp_path, monkeypatch, page, words, place
):
    monkeypatch.setattr(download, "STALL", 0.3)
    server.pages[place] = page
    line, seconds = seconds_of_refusal("voc2007")
    assert re.search(words, line), line
    assert seconds < 10
    assert f"{server.home}{place}" in line
    assert left_in(tmp_path) == ["data"]
    server.pages = server.good
    assert len(VOCDataset(find_data("voc2007"), "train")) == 2


IN_VOC = "VOCdevkit/VOC2007/JPEGImages/"
ODD_TARS = {
    "way out": odd_member(f"{IN_VOC}../../../../evil"),
    "absolute": odd_member("/tmp/course-evil"),
    "symbolic link": odd_member(f"{IN_VOC}z.jpg", tarfile.SYMTYPE, "/etc/passwd"),
    "link of a folder": odd_member(f"{IN_VOC}z", tarfile.SYMTYPE, "../../.."),
    "hard link": odd_member(f"{IN_VOC}z.jpg", tarfile.LNKTYPE, "/etc/passwd"),
    "device": odd_member(f"{IN_VOC}z.jpg", tarfile.CHRTYPE),
    "pipe": odd_member(f"{IN_VOC}z.jpg", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("member", ODD_TARS.values(), ids=ODD_TARS)
def test_a_dangerous_tar_is_refused(server, tmp_path, monkeypatch, member):
    without_sums(monkeypatch)
    server.pages["/test.tar"] = make_tar(files_of("test"), member)
    line = refusal("voc2007")
    assert f"link or way out, '{member.name}'" in line
    assert left_in(tmp_path) == ["data"]
    assert not os.path.exists("/tmp/course-evil")


def zip_link():
    link = zipfile.ZipInfo("BCCD_Dataset-d272/BCCD/JPEGImages/z.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return link


@pytest.mark.parametrize(
    "odd", [zip_link(), "../evil", "BCCD_Dataset-d272/BCCD/../../../evil", "/evil"]
)
def test_a_dangerous_zip_is_refused(server, tmp_path, odd):
    server.pages["/bccd.zip"] = make_zip(files_of(*SPLITS), odd=[odd])
    assert "link or way out" in refusal("bccd")
    assert left_in(tmp_path) == ["data"]


def broken_inside():
    content = bytearray(make_zip(files_of(*SPLITS)))
    content[600:640] = bytes(40)
    return bytes(content)


def bomb():
    return make_zip(files_of(*SPLITS) | {"JPEGImages/z.jpg": bytes(5_000_000)})


@pytest.mark.parametrize(
    "page, words",
    [
        (b"<html>Please log in</html>", "it is no whole tar or zip archive"),
        (make_zip(files_of(*SPLITS))[:-300], "it is no whole tar or zip archive"),
        (broken_inside(), "it is no whole tar or zip archive"),
        (bomb(), "unpacks to too much"),
        (make_zip(files_of("train", "val")), "split test has 0 images, not 3"),
        (
            make_zip({k: v for k, v in files_of(*SPLITS).items() if "e.xml" not in k}),
            "split test has 2 images, not 3",
        ),
        (make_zip(files_of(*SPLITS), top="other/way/"), "split train has 0 images"),
    ],
)
def test_an_archive_that_is_not_what_it_should_be(server, tmp_path, page, words):
    server.pages["/bccd.zip"] = page
    assert words in refusal("bccd")
    assert left_in(tmp_path) == ["data"]


def test_a_server_that_says_nothing(server, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 0.4)
    server.pages["/bccd.zip"] = lambda handler: handler.server.hold.wait(300)
    line, seconds = seconds_of_refusal()
    assert "no answer within 0.4 s" in line and seconds < 2
    assert 1 < download.STALL <= 30


def test_no_network(server, monkeypatch):
    # pitfall: data loading: data set server down
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for host, words in (
        (f"127.0.0.1:{port}", "refused"),
        ("no-such-host.invalid", "no-such-host.invalid"),
    ):
        source = download.SOURCES["bccd"]
        source = source._replace(archives={f"http://{host}/x.zip": None})
        monkeypatch.setitem(download.SOURCES, "bccd", source)
        line, seconds = seconds_of_refusal()
        assert words in line and seconds < download.PATIENCE + 2
    monkeypatch.setattr(catalog, "REPOSITORY", REPOSITORY)
    assert find_data("tabletop").is_dir(), "the embedded data set is there"


def test_a_name_server_that_never_answers(server, monkeypatch):
    def wait(*_, **__):
        server.hold.wait(300)
        raise socket.gaierror

    monkeypatch.setattr(download, "PATIENCE", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", wait)
    line, seconds = seconds_of_refusal()
    assert "no answer within 0.3 s" in line and seconds < 2


def test_offline_does_not_even_try(server, monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert "$COURSE_OFFLINE is set" in refusal("voc2007")
    assert server.asked == []
    monkeypatch.setenv("COURSE_OFFLINE", "0")
    assert find_data("voc2007").is_dir()


def test_tabletop_is_never_downloaded(server):
    with pytest.raises(FileNotFoundError, match="part of the repository: clone it"):
        find_data("tabletop")
    assert server.asked == []


@pytest.mark.parametrize("after", [0, 1, 9])
def test_a_full_disk_is_one_line(server, tmp_path, monkeypatch, after):
    written = []

    def open_and_fill(path, mode):
        if len(written) == after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        return open(path, mode)

    monkeypatch.setattr(download, "open", open_and_fill, raising=False)
    line = refusal("voc2007")
    assert f"cannot write {tmp_path / 'cache' / 'data'} (No space left" in line
    assert "another folder in $COURSE_CACHE" in line
    assert left_in(tmp_path) == ["data"]


def test_a_disk_too_small_is_said_before_the_download(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=999_999)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    assert "(1,000,000 bytes are needed); make room there" in refusal("voc2007")
    assert server.asked == [] and left_in(tmp_path) == ["data"]


def test_a_cache_that_can_not_be_made_is_one_line(server, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    line = refusal("voc2007")
    assert "cannot write" in line and "$COURSE_CACHE" in line and server.asked == []


def test_a_folder_in_the_way_is_named(server, tmp_path):
    folder = tmp_path / "cache" / "data" / "VOC2007"
    (folder / "JPEGImages").mkdir(parents=True)
    assert f"{folder} is in the way, without ImageSets/Main; move it" in refusal(
        "voc2007"
    )
    assert server.asked == [] and (folder / "JPEGImages").is_dir()


def test_an_interrupt_leaves_nothing(server, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "check_layout", stop)
    with pytest.raises(KeyboardInterrupt):
        find_data("voc2007")
    assert left_in(tmp_path) == ["data"]


def test_a_kernel_that_was_faster_wins(server, tmp_path):
    other = tmp_path / "cache" / "data" / "BCCD" / "ImageSets" / "Main"

    def meanwhile(handler):
        other.mkdir(parents=True)
        (other / "mine.txt").write_text("a\n")
        handler.start(None)
        handler.wfile.write(server.good["/bccd.zip"])

    server.pages["/bccd.zip"] = meanwhile
    root = find_data("bccd")
    assert [p.name for p in root.rglob("*.txt")] == ["mine.txt"]
    assert [p.name for p in root.parent.iterdir()] == ["BCCD"]


def test_the_bar_shows_and_is_off_in_ci(server, capfd, monkeypatch):
    monkeypatch.setenv("CI", "true")
    find_data("bccd")
    assert capfd.readouterr().err == ""
    monkeypatch.setenv("CI", "")
    find_data("voc2007")
    shown = capfd.readouterr().err
    assert "voc2007, 1 of 2:" in shown and "voc2007, 2 of 2:" in shown


PROGRAM = """
import sys
from course_utils.data import catalog, download
from course_utils.data.datasets import VOCDataset
from pathlib import Path

catalog.REPOSITORY = Path("nowhere")
images = {"train": 2, "val": 1, "test": 3}
source = download.SOURCES["bccd"]
source = source._replace(archives={sys.argv[1]: None}, images=images, megabytes=1)
download.SOURCES["bccd"] = source
print(VOCDataset(catalog.find_data("bccd"), "test", ["dog"]).ids)
"""


def start_download(address):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, address], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_two_processes_download_at_once(server, tmp_path):
    both = threading.Barrier(2)

    def together(handler):
        both.wait(300)
        handler.start(None)
        handler.wfile.write(server.good["/bccd.zip"])

    server.pages["/bccd.zip"] = together
    processes = [start_download(f"{server.home}/bccd.zip") for _ in range(2)]
    for process in processes:
        assert process.communicate(timeout=300)[0] == "['d', 'e', 'f']\n"
        assert process.returncode == 0
    assert [p.name for p in (tmp_path / "cache" / "data").iterdir()] == ["BCCD"]
    assert len(server.asked) == 2


@pytest.mark.slow
def test_killed_in_the_middle_then_run_again(server, tmp_path):
    half = threading.Event()

    def stops_half_way(handler):
        content = server.good["/bccd.zip"]
        handler.start(len(content))
        handler.wfile.write(content[: len(content) // 2])
        handler.wfile.flush()
        half.set()
        handler.server.hold.wait(300)

    server.pages["/bccd.zip"] = stops_half_way
    process = start_download(f"{server.home}/bccd.zip")
    assert half.wait(300)
    work = tmp_path / "cache" / "data"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = work.iterdir()
    assert left.name.startswith(".BCCD.")
    server.pages = server.good
    root = find_data("bccd")
    assert VOCDataset(root, "test", ["dog"]).ids == SPLITS["test"]
    assert [p.name for p in work.iterdir()] == ["BCCD"], "the half one is gone"
