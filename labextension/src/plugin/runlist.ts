/** The list of runs: rows stay the same elements as they change, so that focus and pointer keep their place. */

import { h, setAttribute, setText } from '../scrub/dom.ts';
import { icon } from './icon.ts';
import type { Actions } from './panel.ts';
import { age, markOf, type RunLine } from './words.ts';

export class RunList {
  readonly element = h('ul', { class: 'ifp-runs', 'aria-label': 'Newest runs' });
  readonly #rows = new Map<string, Row>();
  readonly #actions: Actions;

  constructor(actions: Actions) {
    this.#actions = actions;
    this.element.addEventListener('keydown', event => this.#move(event));
  }

  /** Shows these runs in this order. */
  show(runs: readonly RunLine[], now: number): void {
    const wanted = new Set(runs.map(run => run.id));
    for (const [id, row] of this.#rows) {
      if (!wanted.has(id)) {
        row.element.remove();
        this.#rows.delete(id);
      }
    }
    runs.forEach((run, index) => {
      const row = this.#rows.get(run.id) ?? new Row(run.id, this.#actions);
      this.#rows.set(run.id, row);
      row.show(run, now);
      if (this.element.children[index] !== row.element) {
        this.element.insertBefore(row.element, this.element.children[index] ?? null);
      }
    });
    this.#keepOneStop();
  }

  /** One row is in the order of the Tab key; arrows move within the list. */
  #keepOneStop(): void {
    const rows = [...this.element.children];
    const focused = rows.find(row => row.contains(document.activeElement)) ?? rows[0];
    for (const row of rows) {
      row.querySelectorAll('button').forEach(button => { button.tabIndex = row === focused ? 0 : -1; });
    }
  }

  #move(event: KeyboardEvent): void {
    const rows = [...this.element.children];
    const at = rows.findIndex(row => row.contains(document.activeElement));
    const targets: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 };
    const target = rows[targets[event.key] ?? -1];
    if (target !== undefined) {
      const which = document.activeElement?.classList.contains('ifp-open') ? '.ifp-open' : '.ifp-show';
      target.querySelector<HTMLElement>(which)?.focus();
      event.preventDefault();
      this.#keepOneStop();
    }
  }
}

class Row {
  readonly element = h('li', { class: 'ifp-run' });
  readonly #mark = h('span', { class: 'ifp-mark', 'aria-hidden': 'true' });
  readonly #function = h('span', { class: 'ifp-function' });
  readonly #age = h('span', { class: 'ifp-age' });
  readonly #id = h('span', { class: 'ifp-id' });
  readonly #status = h('span', { class: 'ifp-status' });
  readonly #show = h('button', { class: 'ifp-show', type: 'button' }, this.#mark, this.#function, this.#status, this.#id, this.#age);
  readonly #open = h('button', { class: 'ifp-open', type: 'button' });

  constructor(id: string, actions: Actions) {
    setAttribute(this.element, 'data-run', id);
    setText(this.#id, id);
    icon.element({ container: this.#open });
    setAttribute(this.#open, 'aria-label', `Open ${id} in time travel`);
    setAttribute(this.#open, 'title', 'Open in time travel');
    this.#show.addEventListener('click', () => actions.show(id));
    this.#open.addEventListener('click', () => actions.open(id));
    this.element.append(this.#show, this.#open);
  }

  show(run: RunLine, now: number): void {
    const [mark, word, tone] = markOf(run.status);
    setAttribute(this.element, 'data-tone', tone);
    setAttribute(this.element, 'data-status', run.status);
    setText(this.#mark, mark);
    setText(this.#function, run.function_id);
    setText(this.#status, run.attempt > 1 ? `${word}, attempt ${run.attempt}` : word);
    setText(this.#age, age(run.created_at, now));
    const about = [`Show ${run.id} in a cell`, run.created_at, run.error].filter(Boolean).join('\n');
    setAttribute(this.#show, 'title', about);
  }
}
