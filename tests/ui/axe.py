"""What axe finds wrong with a part of a page, as far as it is serious."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.ui.conftest import ROOT

SCRIPT = ROOT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = "part => axe.run(part, {resultTypes: ['violations']})"


def serious(page: Page, part: str) -> list[str]:
    """Return serious and critical violations in the elements of a selector, each with where it is."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(SCRIPT.read_text())
    found: dict[str, Any] = page.evaluate(_RUN, part)
    return [
        f"{one['id']}: {one['help']} at {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
