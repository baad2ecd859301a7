/** The difference between the two pins: path, before, after, the event that did it, and by whom. */

import { h } from './dom.ts';
import { inline, pathText } from './format.ts';
import type { History } from './history.ts';
import type { Path } from './json.ts';
import { explain, type Traced } from './trace.ts';

const MOST = 200;
const COLUMNS = ['path', 'before', 'after', 'event', 'by'];

export interface DifferenceActions {
  go(position: number): void;
  choose(path: Path): void;
}

export class Difference {
  readonly element = h('section', { class: 'ifl-panel ifl-difference', 'aria-label': 'Difference between the pins' });
  readonly #title = h('h3');
  readonly #box = h('div', { class: 'ifl-box', tabindex: 0, role: 'region', 'aria-label': 'Differences' });
  readonly #actions: DifferenceActions;
  #shown = '';

  constructor(actions: DifferenceActions) {
    this.#actions = actions;
    this.element.append(this.#title, this.#box);
    this.element.hidden = true;
  }

  /** Shows the difference of two positions, or what is missing to do so. */
  show(history: History, pins: readonly [number, number]): void {
    const key = `${pins.join()}/${history.length}`;
    if (key === this.#shown) {
      return;
    }
    this.#shown = key;
    const [low, high] = [Math.min(...pins), Math.max(...pins)];
    if (low < 0) {
      this.#title.textContent = 'Difference';
      this.#box.replaceChildren(
        h('p', { class: 'ifl-said' }, 'Set pin A with [ and pin B with ] to see what changed between them.'),
      );
      return;
    }
    const found = explain(history.timeline, low, high, MOST + 1);
    this.#title.replaceChildren('Difference ', h('span', {}, `event ${low} → event ${high}`));
    if (found.length === 0) {
      this.#box.replaceChildren(h('p', { class: 'ifl-said' }, 'Nothing differs between the pins.'));
      return;
    }
    const rows = found.slice(0, MOST).map(one => this.#row(one, history));
    const head = h('tr', {}, ...COLUMNS.map(name => h('th', { scope: 'col' }, name)));
    const table = h(
      'table',
      {},
      h('colgroup', {}, ...COLUMNS.map(() => h('col'))),
      h('thead', {}, head),
      h('tbody', {}, ...rows),
    );
    const more =
      found.length > MOST ? [h('p', { class: 'ifl-said' }, `Only the first ${MOST} differences are shown.`)] : [];
    this.#box.replaceChildren(table, ...more);
  }

  #row(one: Traced, history: History): HTMLElement {
    const path = h(
      'button',
      { type: 'button', class: 'ifl-link' },
      pathText(one.path, step => history.laneName(step + 1)),
    );
    path.addEventListener('click', () => this.#actions.choose(one.path));
    const cause = h('button', { type: 'button', class: 'ifl-link' }, `${one.cause}: ${history.summary(one.cause)}`);
    cause.addEventListener('click', () => this.#actions.go(one.cause));
    const values = [one.before, one.after].map(value => h('td', {}, h('code', {}, inline(value, 160))));
    return h('tr', {}, h('td', {}, path), ...values, h('td', {}, cause), h('td', {}, history.actor(one.cause)));
  }
}
