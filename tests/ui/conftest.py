"""JupyterLab in a real headless Chromium: one server and one browser for the session, one page for each test.

The browser keeps its cache, as a user's does: loading and compiling JupyterLab's scripts anew for each test took most
of the time. What a test could leave behind for the next one is removed: cookies, storage, settings, pages.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from time import monotonic
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, build_opener

import nbformat
import pytest
from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    ViewportSize,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(os.environ.get("IRONFLOW_LAB_SHOTS", ROOT / "build" / "screenshots"))
# Without these Chromium looks for hosts of its own at every start.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 60_000
NEWS = Path("@jupyterlab", "apputils-extension", "notification.jupyterlab-settings")
STORED = "cookies,file_systems,indexeddb,local_storage,service_workers,cache_storage"
# Two cores serve browser, kernels and servers: what takes a second alone may take ten.
expect.set_options(timeout=30_000)


@dataclass(frozen=True, kw_only=True)
class JupyterLab:
    """A running JupyterLab, the folder it shows and the one in which it keeps what the user has set."""

    url: str
    folder: Path
    settings: Path

    def forget(self) -> None:
        """Forget what a user has set, such as the theme; only the news stay off."""
        shutil.rmtree(self.settings, ignore_errors=True)
        (self.settings / NEWS).parent.mkdir(parents=True, exist_ok=True)
        (self.settings / NEWS).write_text(json.dumps({"fetchNews": "false"}))

    def write(self, name: str, *cells: str) -> str:
        """Save a notebook of code cells and return its name."""
        kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
        notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
        nbformat.write(notebook, self.folder / name)
        return name


class Kernels:
    """The kernels of a JupyterLab, begun before the page that shows them and ended after it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ending = ThreadPoolExecutor(1)
        self._cookies = CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self._cookies))
        # The page has the cookie that a request which changes something must repeat.
        self._opener.open(f"{url}/lab", timeout=30).close()

    def begin(self, path: str) -> str:
        """Start the kernel of a notebook, which the page then finds; return the session's id."""
        session = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        found: str = json.loads(self._send("POST", "api/sessions", session))["id"]
        return found

    def end(self, session: str) -> None:
        """Shut the kernel of a session down while the next test begins."""
        self._ending.submit(self._end, session)

    def _end(self, session: str) -> None:
        # A test may have ended it.
        with suppress(HTTPError):
            self._send("DELETE", f"api/sessions/{session}")

    def _send(self, method: str, path: str, content: object = None) -> bytes:
        headers = {"X-XSRFToken": next(one.value or "" for one in self._cookies if one.name == "_xsrf")}
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self._url}/{path}", body, headers, method=method)
        with self._opener.open(request, timeout=60) as answer:
            told: bytes = answer.read()
        return told


class Traffic:
    """What a page asked for, was told and complained of."""

    def __init__(self, page: Page) -> None:
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.sockets: list[str] = []
        self.errors: list[str] = []
        page.on("request", self._ask)
        page.on("response", self._answer)
        page.on("websocket", lambda socket: self.sockets.append(socket.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)

    def beyond(self, url: str) -> list[str]:
        """Return what was asked of any other host than the one of `url`."""
        own = urlsplit(url).netloc
        asked = [request.url for request in self.requests] + self.sockets
        return [one for one in asked if urlsplit(one).scheme not in ("blob", "data") and urlsplit(one).netloc != own]

    def mentions(self, text: str) -> list[str]:
        """Return the URLs of requests in which the text stands, or of answers of our routes."""
        found = [one.url for one in self.requests if text in f"{one.url}{one.headers}{one.post_data_buffer!r}"]
        ours = [one for one in self.responses if "/ironflow-lab/" in one.url and one.request.failure is None]
        return found + [one.url for one in ours if text in f"{one.headers}{one.text()}"]

    # Playwright wants functions of Python, not those of a list.
    def _ask(self, request: Request) -> None:
        self.requests.append(request)

    def _answer(self, response: Response) -> None:
        self.responses.append(response)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location['url']})")


@dataclass(frozen=True, kw_only=True)
class Notebook:
    """One open notebook."""

    page: Page
    name: str
    traffic: Traffic

    @property
    def cells(self) -> Locator:
        """The code cells, in order."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")

    def command(self, menu: str, command: str) -> None:
        """Choose a command from a menu of the menu bar."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text=menu).first.click()
        self.page.locator(f'.lm-Menu-item[data-command="{command}"]').first.click()

    def run_all(self) -> None:
        """Run every cell and wait until the last one is done."""
        self.command("Run", "runmenu:run-all")
        self.wait_done(self.cells.count() - 1)

    def run_cell(self, index: int) -> None:
        """Run one cell without waiting for it."""
        self.cells.nth(index).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")

    def wait_done(self, index: int) -> None:
        """Wait until a cell has run: its prompt has a number again."""
        prompt = self.cells.nth(index).locator(".jp-InputPrompt")
        self.page.wait_for_function(
            "node => /\\[\\d+\\]/.test(node.textContent)",
            arg=prompt.element_handle(),
            timeout=PATIENCE,
            # To look at every frame would make the browser paint sixty a second.
            polling=50,
        )

    def run_cells(self, *indices: int) -> None:
        """Run cells one after the other; each must end without an error."""
        for index in indices:
            self.run_cell(index)
            self.wait_done(index)
            expect(self.output(index)).not_to_contain_text("Error")

    def run_until(self, index: int, text: str) -> None:
        """Run a cell again and again until its output has the text: the kernel hears of a view a moment later."""
        for _ in range(20):
            self.run_cells(index)
            if text in self.output(index).inner_text():
                return
        expect(self.output(index)).to_contain_text(text)

    def output(self, index: int) -> Locator:
        """The output area of a cell."""
        return self.cells.nth(index).locator(".jp-OutputArea").first

    def theme(self, name: str) -> None:
        """Switch to "JupyterLab Light" or "JupyterLab Dark"."""
        self.page.evaluate(
            "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})",
            name,
        )
        light = "true" if name.endswith("Light") else "false"
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", light)
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)

    def shot(self, name: str, part: Locator | None = None) -> None:
        """Save a picture to look at."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        (part or self.page).screenshot(path=SHOTS / f"{name}.png")


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    home = tmp_path_factory.mktemp("jupyter")
    folder = tmp_path_factory.mktemp("notebooks")
    settings = home / "settings"
    own = {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    environment = {key: value for key, value in os.environ.items() if "IRONFLOW" not in key} | own
    port = _free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=", "--expose-app-in-browser"]
    command += ["--ServerApp.port_retries=0", *(["--allow-root"] if os.geteuid() == 0 else [])]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            _until_answering(f"http://127.0.0.1:{port}/api", process, home / "log")
            yield JupyterLab(url=f"http://127.0.0.1:{port}", folder=folder, settings=settings)
        finally:
            process.terminate()
            process.wait(20)
            stop = [sys.executable, "-m", "ironflow_lab.cli", "stop"]
            subprocess.run(stop, cwd=folder, env=environment, check=False)


@pytest.fixture(scope="session")
def kernels(jupyterlab: JupyterLab) -> Kernels:
    """The kernels of the JupyterLab, which end with it at the latest."""
    return Kernels(jupyterlab.url)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """The browser, whose profile is on disk: only such a one keeps the scripts as it has compiled them."""
    found = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "browser.py")], capture_output=True, text=True, check=True
    )
    with sync_playwright() as playwright:
        path = found.stdout.strip().splitlines()[-1]
        profile = tmp_path_factory.mktemp("profile")
        viewport = ViewportSize(width=1280, height=1600)
        chromium = playwright.chromium.launch_persistent_context(
            profile, executable_path=path, args=list(QUIET), viewport=viewport
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(jupyterlab: JupyterLab, browser: BrowserContext) -> Iterator[Page]:
    """A page in a browser and a JupyterLab that know nothing of the tests before."""
    # The first page stays: a browser without one may end.
    for left in browser.pages[1:]:
        left.close()
    jupyterlab.forget()
    with closing(browser.new_page()) as fresh:
        session = browser.new_cdp_session(fresh)
        session.send("Storage.clearDataForOrigin", {"origin": jupyterlab.url, "storageTypes": STORED})
        session.detach()
        fresh.set_default_timeout(PATIENCE)
        yield fresh


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the fixtures know, before they end, that their test has failed."""
    report = yield
    item.stash[FAILED] = report.failed or item.stash.get(FAILED, False)
    return report


@pytest.fixture
def open_notebook(
    jupyterlab: JupyterLab, kernels: Kernels, page: Page, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], Notebook]]:
    """Return a function that opens a notebook in a workspace of its own."""
    traffic = Traffic(page)
    # JupyterLab restores a workspace with all its tabs: no two tests may share one.
    own = secrets.token_hex(4)

    begun: list[str] = []

    def opened(name: str) -> Notebook:
        begun.append(kernels.begin(name))
        workspace = f"{Path(name).stem}-{own}"
        page.goto(f"{jupyterlab.url}/lab/workspaces/{workspace}/tree/{name}")
        page.locator("#jp-main-statusbar", has_text="Python 3 (ipykernel) | Idle").wait_for()
        return Notebook(page=page, name=name, traffic=traffic)

    yield opened
    if request.node.stash.get(FAILED, False):
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"failed-{request.node.name}.png")
        print("the page complained:", *traffic.errors, sep="\n  ")
    page.close()
    for session in begun:
        kernels.end(session)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until_answering(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + 60
    while monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"JupyterLab ended: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            # Nothing listens yet; the wait for the process is the pause between two tries.
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    raise RuntimeError(f"JupyterLab did not answer: {log.read_text()[-2000:]}")
