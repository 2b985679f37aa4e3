"""Data sets from their official addresses: whole and checked, or not at all."""

import hashlib
import os
import re
import shutil
import stat
import tarfile
import threading
import urllib.request
import zipfile
import zlib
from http.client import HTTPException
from pathlib import PurePosixPath
from typing import NamedTuple

from tqdm.auto import tqdm

from course_utils.core.files import cannot_write, unfinished, write_whole
from course_utils.core.settings import in_ci


class Source(NamedTuple):
    """Where a data set comes from, and what it must hold."""

    folder: str  # of the data set, inside the one folder that an archive holds
    archives: dict  # {address: MD5, None where it is not fixed}
    megabytes: int  # of disk while it is unpacked
    images: dict  # {split: number of images}
    classes: str


VOC = "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/"
BCCD = "https://github.com/Shenggan/BCCD_Dataset/archive/"
SOURCES = {
    "voc2007": Source(
        "VOC2007",
        {
            VOC + "VOCtrainval_06-Nov-2007.tar": "c52e279531787c972589f7e41ab4ae64",
            VOC + "VOCtest_06-Nov-2007.tar": "b6e924de25625d8de591ea690078ad9f",
        },
        1500,
        {"train": 2501, "val": 2510, "test": 4952},
        "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse"
        " motorbike person pottedplant sheep sofa train tvmonitor",
    ),
    # GitHub may zip a commit anew, in other bytes. So the commit is fixed, and what is
    # checked are the sum that zip keeps of each file and the number of images.
    "bccd": Source(
        "BCCD",
        {BCCD + "d272fb14cdff6e473fafeeeba32aba5f560e9e43.zip": None},
        100,
        {"train": 205, "val": 87, "test": 72},
        "Platelets RBC WBC",
    ),
}
KEPT = re.compile(
    r"JPEGImages/[\w-]+\.jpg|Annotations/[\w-]+\.xml"
    r"|ImageSets/Main/(train|val|trainval|test)\.txt"
)
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error)
PATIENCE, STALL = 8, 20  # seconds until a server must answer, and send its next byte


class DownloadError(Exception):
    """Why a data set cannot be downloaded, in one line."""


def open_address(address):
    """The open answer of a server; raises DownloadError if none comes in time.

    Asked in a thread of its own: looking up a name can take half a minute.
    """
    request = urllib.request.Request(address, headers={"User-Agent": "course"})
    answers = []

    def ask():
        try:
            answers.append(urllib.request.urlopen(request, timeout=STALL))
        except (OSError, HTTPException) as error:
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not answers or isinstance(answers[0], Exception):
        reason = answers[0] if answers else f"no answer within {PATIENCE} s"
        raise DownloadError(f"{address}: {reason}")
    return answers[0]


def read_blocks(answer, most):
    """The bytes of an open answer, in blocks; DownloadError if it is not whole."""
    total, size = answer.length, 0
    try:
        while block := answer.read(1 << 18):
            size += len(block)
            if size > most:
                raise DownloadError(f"{answer.url}: gives more than {most:,} bytes")
            yield block
    except (OSError, HTTPException) as error:
        raise DownloadError(f"{answer.url}: broke off ({error!r})") from None
    if total is not None and size < total:
        raise DownloadError(f"{answer.url}: broke off at {size:,} of {total:,} bytes")


def save_address(address, path, title, most):
    """Write what an address gives, at most `most` bytes, to a file; returns its MD5."""
    digest, look = hashlib.md5(usedforsecurity=False), {"unit": "B", "leave": False}
    with open_address(address) as answer, open(path, "wb") as file:
        look |= {"total": answer.length, "unit_scale": True, "disable": in_ci()}
        with tqdm(desc=title, **look) as bar:
            for block in read_blocks(answer, most):
                file.write(block)
                digest.update(block)
                bar.update(len(block))
    return digest.hexdigest()


def archive_members(archive):
    """(name, kind, function that opens it) of all in an open tar or zip.

    kind: "file", "folder" or "other", such as a link.
    """
    if isinstance(archive, zipfile.ZipFile):
        for m in archive.infolist():
            plain = stat.S_IFMT(m.external_attr >> 16) in (0, stat.S_IFREG)
            kind = "folder" if m.is_dir() else "file" if plain else "other"
            yield m.filename, kind, lambda m=m: archive.open(m)
    else:
        for m in archive:
            kind = "folder" if m.isdir() else "file" if m.isreg() else "other"
            yield m.name, kind, lambda m=m: archive.extractfile(m)


def unpack_archive(path, folder, target, most):
    """Write the images, annotations and lists of an archive's `folder` to `target`.

    Nothing else is written. Raises DownloadError for a broken archive, for one with
    links, devices or paths that lead out of it, and above `most` bytes.
    """
    opener = zipfile.ZipFile if zipfile.is_zipfile(path) else tarfile.open
    try:
        with opener(path) as archive:
            for name, kind, open_it in archive_members(archive):
                parts = PurePosixPath(name).parts
                if kind == "other" or name.startswith("/") or ".." in parts:
                    raise DownloadError(f"the archive has a link or way out, {name!r}")
                wanted = parts[1:2] == (folder,) and kind == "file"
                if not (wanted and KEPT.fullmatch("/".join(parts[2:]))):
                    continue
                place = target.joinpath(*parts[2:])
                place.parent.mkdir(parents=True, exist_ok=True)
                with open_it() as source, open(place, "wb") as file:
                    while block := source.read(1 << 18):
                        most -= len(block)
                        if most < 0:
                            raise DownloadError("the archive unpacks to too much")
                        file.write(block)
    except (*BROKEN, EOFError, RuntimeError):  # RuntimeError: it has a password
        raise DownloadError("it is no whole tar or zip archive") from None


def is_data_set(folder):
    """Whether a folder has lists of images, as all data sets in VOC layout do."""
    return (folder / "ImageSets" / "Main").is_dir()


def check_layout(folder, images):
    """DownloadError unless each split is there with its images and annotations."""
    for split, wanted in images.items():
        listed = folder / "ImageSets" / "Main" / f"{split}.txt"
        found = 0
        for i in listed.read_text().split() if listed.is_file() else ():
            image, labels = folder / f"JPEGImages/{i}.jpg", f"Annotations/{i}.xml"
            found += image.is_file() and (folder / labels).is_file()
        if found != wanted:
            raise DownloadError(f"split {split} has {found} images, not {wanted}")


def fetch_data(name, room):
    """Download a data set of SOURCES into the folder `room`; returns its own folder.

    All is done in a temporary folder that is renamed when whole, so that a break leaves
    nothing that is used. Raises DownloadError, at once if $COURSE_OFFLINE is set.
    Lesson 12.
    """
    if os.environ.get("COURSE_OFFLINE", "").lower() not in ("", "0", "false"):
        raise DownloadError("$COURSE_OFFLINE is set")
    source = SOURCES[name]
    target, most = room / source.folder, source.megabytes * 10**6
    if target.exists() and not is_data_set(target):
        raise DownloadError(f"{target} is in the way, without ImageSets/Main; move it")
    try:
        unfinished(target)  # makes the folder, removes what a killed kernel left
        with write_whole(target) as work:
            work.mkdir()
            if shutil.disk_usage(work).free < most:
                raise OSError(f"{most:,} bytes are needed")
            archive = work / "archive"
            for number, (address, md5) in enumerate(source.archives.items(), 1):
                title = f"{name}, {number} of {len(source.archives)}"
                found = save_address(address, archive, title, most)
                if md5 not in (None, found):
                    raise DownloadError(f"{address}: MD5 {found}, expected {md5}")
                unpack_archive(archive, source.folder, work, most)
            archive.unlink()
            check_layout(work, source.images)
            names = source.classes.split()
            (work / "classes.txt").write_text("\n".join(names) + "\n")
    except OSError as error:
        if not is_data_set(target):  # no other kernel was faster
            raise DownloadError(cannot_write(room, error)) from None
    return target
