"""Lessons in real JupyterLab in headless Chromium: sliders appear, pictures move."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from course_utils import authoring

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Each lesson runs up to its explorer, on few images, so that no training takes long.
EXPLORERS = [
    ("00_start_here", "tasks.five_tasks"),
    ("01_boxes", "widgets.two_boxes"),
    ("01_boxes", "widgets.stepping_nms"),
    ("03_region_proposals", "widgets.segments"),
    ("04_measuring_detectors", "widgets.walk_the_curve"),
    ("05_rcnn", "widgets.stage_viewer"),
    ("06_roi_pooling", "widgets.region_over_map"),
    ("07_fast_rcnn", "widgets.side_by_side"),
    ("08_region_proposal_network", "widgets.anchors_at_a_cell"),
    ("08_region_proposal_network", "widgets.best_proposals"),
    ("09_faster_rcnn", "widgets.every_stage"),
    ("10_speed_and_accuracy", "widgets.speed_and_accuracy"),
]
# A kernel that stays holds a gigabyte. Returns how many were stopped.
STOP_KERNELS = """async () => {
    const cookie = document.cookie.match("_xsrf=([^;]*)");
    const headers = {"X-XSRFToken": cookie ? cookie[1] : ""};
    const running = await (await fetch("/api/kernels")).json();
    for (const kernel of running)
        await fetch("/api/kernels/" + kernel.id, {method: "DELETE", headers});
    const left = await (await fetch("/api/kernels")).json();
    return running.length - left.length;
}"""
FEW_IMAGES = """
from course_utils import data


def only_a_few(read):
    def few(self, root, split, classes=None, first=None):
        read(self, root, split, classes, min(first or LIMIT, LIMIT))

    return few


data.VOCDataset.__init__ = only_a_few(data.VOCDataset.__init__)
"""


def find_browser():
    """Path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if not find_browser():
        pytest.skip(f"no browser found (looked for {', '.join(BROWSERS)})")
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=find_browser(), args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of a JupyterLab that serves copies of the lessons."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(authoring.NOTEBOOKS, home / "notebooks")
    # Lab draws only the cells in view; here all are wanted.
    settings = home / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    text = json.dumps({"windowingMode": "none"})
    (settings / "tracker.jupyterlab-settings").write_text(text)
    news = home / "settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir()
    text = json.dumps({"fetchNews": "false", "checkForUpdates": False})
    (news / "notification.jupyterlab-settings").write_text(text)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", "--IdentityProvider.token="]
    command += [f"--ServerApp.root_dir={home}"]
    environment = os.environ | {
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "CI": "true",
        "OMP_NUM_THREADS": "1",  # torch's threads would wait for the browser's
    }
    log = open(home / "lab.log", "w")  # noqa: SIM115
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{address}/api/status", timeout=2)
            break
        time.sleep(0.5)
    else:
        pytest.fail((home / "lab.log").read_text()[-2000:])
    yield home, address
    server.terminate()
    server.wait(20)


def only_the_cells_for(path, explorer):
    """Cut a copied lesson down to the code up to the explorer, on few images."""
    notebook = json.loads(path.read_text())
    text = FEW_IMAGES.replace("LIMIT", "40" if path.stem[:2] == "10" else "100")
    first = {"cell_type": "code", "source": text, "metadata": {}, "id": "few"}
    kept = [first | {"outputs": [], "execution_count": None}]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
            kept.append(cell)
            if explorer in "".join(cell["source"]):
                break
    notebook["cells"] = kept
    target = path.with_name(f"{path.stem}_{explorer.split('.')[1]}.ipynb")
    target.write_text(json.dumps(notebook))
    return target


def run_all_cells(page, address, name):
    """Open a notebook in Lab and run it; returns when the kernel is idle again."""
    page.goto(f"{address}/lab/tree/notebooks/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    page.wait_for_selector(".jp-NotebookPanel-toolbar", timeout=30_000)
    page.wait_for_timeout(2000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


@pytest.mark.parametrize("lesson, explorer", EXPLORERS)
def test_first_slider_moves_the_picture(browser, lab, lesson, explorer):
    home, address = lab
    notebook = only_the_cells_for(home / "notebooks" / f"{lesson}.ipynb", explorer)
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    run_all_cells(page, address, notebook.name)
    picture = page.locator(".jp-OutputArea img.widget-image").last
    picture.wait_for(timeout=500_000)
    before = picture.get_attribute("src")
    box = page.locator(".widget-vbox:has(img.widget-image)").last
    handle = box.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    handle.focus()
    for _ in range(3):
        handle.press("ArrowRight")
    page.wait_for_function(
        "([img, old]) => img.src !== old",
        arg=[picture.element_handle(), before],
        timeout=20_000,
    )
    folder = os.environ.get("COURSE_SCREENSHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{notebook.stem}.png")
    assert page.locator(".jp-RenderedText[data-mime-type*='stderr']").count() == 0
    assert faults == []
    assert page.evaluate(STOP_KERNELS) == 1
    page.close()
