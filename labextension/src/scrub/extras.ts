/** The small parts below: the legend, the help, and the box with code that nobody inserted. */

import { h } from './dom.ts';
import { HELP } from './keys.ts';
import { KINDS, type Palette, paintSpan } from './paint.ts';

/** The kinds of time that occur, each drawn as in the lanes. */
export class Legend {
  readonly element = h('ul', { class: 'ifl-legend', 'aria-label': 'Kinds of time' });

  show(present: ReadonlySet<number>, palette: Palette): void {
    const items = KINDS.filter(([kind]) => present.has(kind)).map(([kind, , words]) => {
      const ratio = window.devicePixelRatio || 1;
      const canvas = h('canvas', {
        width: 34 * ratio,
        height: 14 * ratio,
        style: 'width:34px;height:14px',
        'aria-hidden': 'true',
      });
      const context = canvas.getContext('2d');
      if (context !== null) {
        context.scale(ratio, ratio);
        paintSpan(context, kind, 1, 0.5, 32, 13, palette);
      }
      return h('li', {}, canvas, words);
    });
    this.element.replaceChildren(...items);
  }
}

/** Returns the list of keys, closed. */
export function helpPanel(): HTMLElement {
  const list = h('dl', {}, ...HELP.flatMap(([keys, words]) => [h('dt', {}, keys), h('dd', {}, words)]));
  const panel = h(
    'section',
    { class: 'ifl-panel ifl-help', 'aria-label': 'Keys' },
    h('h3', {}, 'Keys'),
    h('div', { class: 'ifl-box' }, list),
  );
  panel.hidden = true;
  return panel;
}

/** Code to copy, for pages where nobody can insert a cell. */
export class CodeBox {
  readonly element = h('div', { class: 'ifl-insert' });
  readonly #text = h('textarea', { readonly: true, rows: 2, 'aria-label': 'Python for what is shown' });
  readonly #copy = h('button', { type: 'button' }, 'Copy');

  constructor(say: (text: string) => void) {
    this.element.hidden = true;
    const close = h('button', { type: 'button' }, 'Close');
    close.addEventListener('click', () => {
      this.element.hidden = true;
    });
    this.#copy.addEventListener('click', () => {
      this.#text.select();
      void navigator.clipboard?.writeText(this.#text.value).then(
        () => say('Copied'),
        () => say('Select and copy the text'),
      );
    });
    this.element.append(this.#text, this.#copy, close);
  }

  show(code: string): void {
    this.#text.value = code;
    this.element.hidden = false;
    this.#text.focus();
    this.#text.select();
  }
}
