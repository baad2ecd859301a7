/** What the event at the cursor changed, in a few lines above the tree. */

import type { Change } from './diff.ts';
import { h, keep, setText } from './dom.ts';
import { inline, pathText } from './format.ts';
import type { Path } from './json.ts';

export const MOST_CHANGES = 6;

export class Detail {
  readonly element = h('div');
  readonly #title = h('h3', {}, 'Changed by this event');
  readonly #list = h('ul', { class: 'ifl-changes' });
  readonly #lines: HTMLElement[] = [];
  #paths: Path[] = [];

  constructor(choose: (path: Path) => void) {
    this.element.append(this.#title, this.#list);
    this.#list.addEventListener('click', event => {
      const button = event.target instanceof Element ? event.target.closest('button') : null;
      const at = this.#lines.findIndex(line => button !== null && line.contains(button));
      if (at >= 0 && this.#paths[at] !== undefined) {
        choose(this.#paths[at]);
      }
    });
  }

  /** Shows at most six changes; `changes` may hold one more, which then is only counted. */
  show(changes: readonly Change[], names: (step: number) => string): void {
    const shown = changes.slice(0, MOST_CHANGES);
    this.#paths = shown.map(change => change.path);
    const rest = changes.length > shown.length || shown.length === 0 ? 1 : 0;
    keep(this.#list, this.#lines, shown.length + rest, () => h('li'));
    this.#lines.forEach((line, index) => {
      const change = shown[index];
      if (change === undefined) {
        line.replaceChildren(h('span', { class: 'ifl-said' }, shown.length ? 'and more, marked below' : 'nothing'));
      } else {
        this.#fill(line, change, names);
      }
    });
  }

  #fill(line: HTMLElement, change: Change, names: (step: number) => string): void {
    if (!(line.firstElementChild instanceof HTMLButtonElement)) {
      line.replaceChildren(
        h('button', { type: 'button', class: 'ifl-link' }),
        h('code', { class: 'ifl-was' }),
        h('code'),
      );
    }
    const [button, was, is] = line.children as unknown as [HTMLElement, HTMLElement, HTMLElement];
    const gone = change.before === undefined || change.before === null;
    setText(button, pathText(change.path, names));
    setText(was, gone ? '' : inline(change.before, 60));
    setText(is, `→ ${change.after === undefined ? 'removed' : inline(change.after, 90)}`);
    was.hidden = gone;
  }
}
