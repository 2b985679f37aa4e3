"""JupyterLab in headless Chromium: the fixtures `browser`, `page` and `lab`."""

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

from course_utils.lessons import notebooks

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
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


def find_browser():
    """Path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="module")  # its event loop would be in the way of nbclient's
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if not find_browser():
        pytest.skip(f"no browser found (looked for {', '.join(BROWSERS)})")
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=find_browser(), args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A page without errors, at its end too; stops the kernels that it started."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    stopped = page.evaluate(STOP_KERNELS)
    page.close()
    assert faults == []
    assert stopped == 1


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Address of a JupyterLab that serves copies of the lessons."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(notebooks.NOTEBOOKS, home / "notebooks")
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
        "NUMBA_NUM_THREADS": "1",
        "COURSE_DATA": "",  # lessons 12 and 13 as for a learner without photographs
        "COURSE_OFFLINE": "1",
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


def run_all_cells(page, address, name):
    """Open a notebook in Lab and run it; returns when the kernel is idle again."""
    page.goto(f"{address}/lab/tree/notebooks/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    page.wait_for_selector(".jp-NotebookPanel-toolbar", timeout=30_000)
    page.wait_for_timeout(2000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
