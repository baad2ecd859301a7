"""Finds a Chromium for the browser tests, or installs one: `python tests/browser.py`.

Tried in this order: a browser that is already here, the system's package manager (apt-get, as root
or with a password-free sudo), Playwright's own download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
APT = "apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium"
REMEDY = (
    "No Chromium was found and none could be installed. Install one yourself (Debian: "
    "apt-get install chromium; macOS: brew install --cask google-chrome) or set "
    "IRONFLOW_LAB_BROWSER to its path, then run make again."
)


def find() -> str | None:
    """Return the path of a browser that starts, or None."""
    return next((path for path in candidates() if starts(path)), None)


def candidates() -> Iterator[str]:
    """Yield where a browser may be; `IRONFLOW_LAB_BROWSER` alone when it is set."""
    named = os.environ.get("IRONFLOW_LAB_BROWSER")
    if named:
        yield named
        return
    yield from filter(None, map(shutil.which, NAMES))
    yield from filter(os.path.exists, APPLICATIONS)
    yield from playwrights_own()


def playwrights_own() -> Iterator[str]:
    """Yield the browser that `playwright install chromium` left, when it did."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if Path(path).exists():
        yield path


def starts(path: str) -> bool:
    """Tell whether `path` is a program that answers; some systems ship only a stub."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def install() -> None:
    """Install a browser by the first way that works."""
    if shutil.which("apt-get") and (prefix := administrator()) is not None:
        attempt("installing chromium with apt-get", *prefix, "sh", "-c", APT)
        if find():
            return
    attempt("downloading a browser with playwright", sys.executable, "-m", "playwright", "install", "chromium")


def attempt(what: str, *command: str) -> None:
    """Run a command that may fail; standard output is kept for the path of the browser."""
    print(f"-- {what}", file=sys.stderr, flush=True)
    subprocess.run(command, stdout=sys.stderr, check=False)


def administrator() -> list[str] | None:
    """Return what to put before a command that needs root; None when that is not to be had."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if asked.returncode == 0 else None


def main() -> int:
    """Make sure that there is a browser; print its path, and nothing else, on standard output."""
    path = find()
    if path is None and not os.environ.get("IRONFLOW_LAB_BROWSER"):
        install()
        path = find()
    print(path or REMEDY, file=sys.stdout if path else sys.stderr)
    return 0 if path else 1


if __name__ == "__main__":
    sys.exit(main())
