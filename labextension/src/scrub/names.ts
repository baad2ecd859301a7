/** The names of the lanes in view, each with its status at the cursor; ghosts are those that have not begun. */

import { h, keep, setAttribute, setText, uniqueId } from './dom.ts';
import { clip } from './format.ts';
import { ROW } from './lanes.ts';
import { toneOf, wordsOf } from './tones.ts';

export interface NamesOf {
  lanes(): number;
  name(lane: number): string;
  status(lane: number): string;
  ghost(lane: number): boolean;
}

export class Names {
  readonly element = h('div', { class: 'ifl-names', role: 'listbox', tabindex: 0, 'aria-label': 'Run and steps' });
  selected = 0;
  readonly #id = uniqueId('lane');
  readonly #rows: HTMLElement[] = [];
  readonly #of: NamesOf;

  constructor(of: NamesOf) {
    this.#of = of;
  }

  /** Shows the names from pixel `top` on; `current` is the lane of the event at the cursor. */
  show(top: number, height: number, current: number): void {
    const first = Math.floor(top / ROW);
    const count = Math.max(0, Math.min(this.#of.lanes() - first, Math.ceil((height + (top % ROW)) / ROW)));
    keep(this.element, this.#rows, count, () => this.#row());
    this.#rows.forEach((row, index) => this.#fill(row, first + index, (first + index) * ROW - top, current));
    const inView = this.selected >= first && this.selected < first + count;
    setAttribute(this.element, 'aria-activedescendant', inView ? `${this.#id}-${this.selected}` : undefined);
  }

  /** Returns the lane of a row element, or -1. */
  laneOf(target: EventTarget | null): number {
    const row = target instanceof Element ? target.closest<HTMLElement>('.ifl-name') : null;
    return row === null ? -1 : Number(row.dataset['lane']);
  }

  #row(): HTMLElement {
    return h(
      'div',
      { class: 'ifl-name', role: 'option' },
      h('i', { 'aria-hidden': 'true' }),
      h('span', { class: 'ifl-label' }),
      h('span', { class: 'ifl-quiet' }),
    );
  }

  #fill(row: HTMLElement, lane: number, y: number, current: number): void {
    const status = this.#of.status(lane);
    const ghost = this.#of.ghost(lane);
    const [tone, sign] = toneOf(status);
    const name = this.#of.name(lane);
    setAttribute(row, 'id', `${this.#id}-${lane}`);
    setAttribute(row, 'data-lane', lane);
    setAttribute(row, 'style', `top:${y}px`);
    setAttribute(row, 'title', clip(name, 300));
    setAttribute(row, 'aria-selected', lane === this.selected ? 'true' : 'false');
    setAttribute(row, 'aria-setsize', this.#of.lanes());
    setAttribute(row, 'aria-posinset', lane + 1);
    setAttribute(row, 'data-tone', tone || undefined);
    setAttribute(row, 'data-ghost', ghost);
    setAttribute(row, 'data-now', lane === current);
    const [mark, label, words] = row.children as unknown as [Element, Element, Element];
    setText(mark, sign);
    setText(label, clip(name, 200));
    // What was discarded has a status, and has not begun all the same.
    setText(words, ghost && !status ? ', not yet' : `, ${wordsOf(status)}`);
  }
}
