"""How fast the time-travel view is in a real Chromium: prints one JSON line per size of run.

    python -m tests.bench.bench_scrub [--events 10000 50000] [--seconds 3]

A bare page with the built bundle and a model of twenty lines in place of the kernel's. `step_ms` is from
setting `t` to the changed page (the script alone; `layout_ms` has the page lay itself out as well), in
four ways of moving; `fps` are frames while playing; `interactive_ms` is from the call that mounts the
view to the page that answered a key after its first frame. `saved_mb` is what the widget adds to a saved notebook.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from ipywidgets import Widget
from playwright.sync_api import Page, Route, sync_playwright

from ironflow_lab.widgets.bundle import bundle
from ironflow_lab.widgets.scrub import Scrubber
from tests import browser
from tests.ui import scrub_runs
from tests.ui.conftest import QUIET

HOST = "http://scrub.bench"
PAGE = """<!doctype html><html lang="en"><head><title>bench</title></head><body><main id="el"></main></body></html>"""
MOUNT = """async ({chunk, t}) => {
  const view = (await import('/scrub.js')).default;
  const bytes = text => new DataView(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
  const state = {...chunk, events: bytes(chunk.events), spans: bytes(chunk.spans), t, pins: [-1, -1],
    path: '', live: false, speed: 1};
  const heard = new Map();
  window.model = {
    get: key => state[key],
    set(key, value) { state[key] = value; (heard.get('change:' + key) ?? []).forEach(listener => listener()); },
    on(event, listener) { heard.set(event, [...(heard.get(event) ?? []), listener]); },
    off() {}, send() {}, save_changes() {},
  };
  const el = document.getElementById('el');
  const frame = () => new Promise(done => requestAnimationFrame(done));
  const began = performance.now();
  view.render({model: window.model, el});
  const mounted = performance.now() - began;
  await frame(); await frame();
  const root = document.querySelector('.ifl-scrub');
  const track = root.querySelector('.ifl-track');
  track.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft', bubbles: true, cancelable: true}));
  if (Number(root.dataset.position) !== t - 1) throw new Error('the key was not answered');
  return {mount_ms: mounted, interactive_ms: performance.now() - began};
}"""
STEPS = """({last, count, layout}) => {
  const root = document.querySelector('.ifl-scrub');
  let seed = 4242;
  const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
  const ways = {
    forward: index => 1 + index % last, back: index => last - 1 - index % last,
    stride: index => (index * 37) % last, jump: () => Math.floor(random() * last),
  };
  const found = {};
  for (const [name, way] of Object.entries(ways)) {
    const times = [];
    for (let index = 0; index < count; index++) {
      const to = way(index);
      const began = performance.now();
      window.model.set('t', to);
      if (layout) root.getBoundingClientRect();
      times.push(performance.now() - began);
      if (Number(root.dataset.position) !== to) throw new Error('not moved');
    }
    times.sort((a, b) => a - b);
    const at = share => Number(times[Math.floor(share * (count - 1))].toFixed(3));
    found[name] = {p50: at(0.5), p95: at(0.95)};
  }
  return found;
}"""
PLAY = """async seconds => {
  const root = document.querySelector('.ifl-scrub');
  window.model.set('t', 0);
  root.querySelector('[data-command=play]').click();
  let frames = 0, moved = 0, before = '0';
  const began = performance.now();
  while (performance.now() - began < seconds * 1000) {
    await new Promise(done => requestAnimationFrame(done));
    frames += 1;
    if (root.dataset.position !== before) { moved += 1; before = root.dataset.position; }
  }
  const took = (performance.now() - began) / 1000;
  root.querySelector('[data-command=play]').click();
  return {fps: frames / took, moving_fps: moved / took, played: Number(before)};
}"""


def serve(route: Route) -> None:
    """Answer for a host that does not exist: the page and the bundle."""
    if route.request.url.endswith("/scrub.js"):
        route.fulfill(body=bundle("scrub"), content_type="text/javascript")
    else:
        route.fulfill(body=PAGE, content_type="text/html")


def measured(page: Page, events: int, seconds: float) -> dict[str, Any]:
    """Return the figures of a run of about `events` events."""
    packer = scrub_runs.packed(scrub_runs.long(events))
    last = packer.history.length
    page.goto(HOST)
    found: dict[str, Any] = page.evaluate(MOUNT, {"chunk": packer.chunk().jsonable(), "t": last})
    steps = page.evaluate(STEPS, {"last": last, "count": 600, "layout": False})
    layout = page.evaluate(STEPS, {"last": last, "count": 300, "layout": True})
    return {
        "bench": "scrub",
        "events": last,
        "lanes": len(packer.chunk().lanes),
        **found,
        "step_p50_ms": max(way["p50"] for way in steps.values()),
        "step_p95_ms": max(way["p95"] for way in steps.values()),
        "step_ms": steps,
        "layout_ms": layout,
        **page.evaluate(PLAY, seconds),
        "saved_mb": saved(Scrubber(packer)),
        "load": round(os.getloadavg()[0], 2),
    }


def saved(widget: Scrubber) -> float:
    """Return the megabytes that the widget's state and its outputs take in a saved notebook."""
    state = Widget.get_manager_state(drop_defaults=True, widgets=[widget, widget.layout])
    size = (len(json.dumps(state)) + len(json.dumps(widget.static()))) / 1e6
    widget.close()
    return size


def main() -> int:
    """Measure every size and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, nargs="*", default=[10_000, 50_000])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to play")
    given = parser.parse_args()
    path = browser.find()
    if path is None:
        print(browser.REMEDY, file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        page = chromium.new_page(viewport={"width": 1200, "height": 1000})
        page.route(f"{HOST}/**", serve)
        for events in given.events:
            print(json.dumps(measured(page, events, given.seconds)), flush=True)
        chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
