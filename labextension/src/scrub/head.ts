/** The lines of words: which run this is and how it stood, and what happened at the cursor. */

import { h, setAttribute, setText } from './dom.ts';
import { clock, duration } from './format.ts';
import type { History } from './history.ts';
import { toneOf, wordsOf } from './tones.ts';

export class Head {
  readonly #name = h('strong');
  readonly #run = h('code');
  readonly #status = h('span', { class: 'ifl-chip' });
  readonly #note = h('div', { class: 'ifl-note' });
  readonly #what = h('b');
  readonly #where = h('span');
  readonly #when = h('span');
  readonly title = h('div', { class: 'ifl-head' }, this.#name, this.#run, this.#status, this.#note);
  readonly now = h('div', { class: 'ifl-now' }, this.#what, this.#where, this.#when);

  /** Shows which run it is; `said` is what its host has to say. */
  run(history: History, said: string): void {
    const { meta, length } = history;
    setText(this.#name, meta.function_id || 'Run');
    setText(this.#run, meta.run_id);
    const empty = length === 0 ? 'Nothing is recorded of this run yet.' : '';
    setText(this.#note, [meta.note, said, empty].filter(Boolean).join(' '));
    this.#note.hidden = this.#note.textContent === '';
  }

  /** Shows a moment: the run's status then, what happened, which event it is, and when. */
  moment(history: History, position: number, status: string): void {
    setText(this.#what, history.summary(position));
    setText(this.#where, `event ${position} of ${history.length}`);
    const ms = history.ms(position);
    setText(this.#when, position < 1 ? '' : `+${duration(ms)} · ${clock(history.meta.t0, ms)}`);
    setText(this.#status, status ? wordsOf(status) : 'not created');
    setAttribute(this.#status, 'data-tone', toneOf(status)[0] || undefined);
  }
}
