/** The state at the cursor: what the event changed, and the whole document as a tree with a selected path. */

import { Detail, MOST_CHANGES } from './detail.ts';
import type { Change } from './diff.ts';
import { h, setText } from './dom.ts';
import type { History } from './history.ts';
import { Deferred, type Path, pathKey, valueAt } from './json.ts';
import type { Model } from './model.ts';
import { changedBy } from './trace.ts';
import { type Row, rows, TreeState } from './tree.ts';
import { TreeView } from './treeview.ts';
import { Values } from './values.ts';

/** More changes of one event than these are not marked. */
const MARKED = 300;

export class StatePanel {
  readonly element: HTMLElement;
  /** The selected path; empty when there is none. */
  path: Path = [];
  readonly #history: History;
  readonly #values: Values;
  readonly #selected: (path: Path) => void;
  readonly #state = new TreeState();
  readonly #tree: TreeView;
  readonly #detail: Detail;
  readonly #title = h('h3');
  readonly #box = h('div', { class: 'ifl-box' });
  #position = 0;
  #changes: Change[] = [];

  constructor(history: History, model: Model, selected: (path: Path) => void) {
    this.#history = history;
    this.#selected = selected;
    this.#values = new Values(model, () => this.#showTree());
    this.#detail = new Detail(path => this.choose(path));
    this.#tree = new TreeView({
      toggle: row => this.#toggle(row),
      select: row => this.#select(row.path, row.key),
      more: row => {
        this.#state.showMore(row.key);
        this.#showTree();
      },
    });
    this.#box.append(this.#tree.element);
    const attributes = { class: 'ifl-panel', 'aria-label': 'State' };
    this.element = h('section', attributes, this.#detail.element, this.#title, this.#box);
  }

  /** Shows a position, whose document may be asked for at once. */
  show(position: number): void {
    this.#position = position;
    this.#changes = changedBy(this.#history.timeline, position, MARKED);
    setText(this.#title, `State after event ${position}`);
    this.#detail.show(this.#changes.slice(0, MOST_CHANGES + 1), step => this.#history.laneName(step + 1));
    this.#showTree();
  }

  /** Selects a path as Python asked for; nothing is scrolled. */
  select(path: Path): void {
    this.#state.reveal(path);
    this.path = path;
    this.#state.selected = path.length > 0 ? pathKey(path) : '';
    this.#showTree();
  }

  /** Selects and opens a path and brings it into view. */
  choose(path: Path): void {
    this.#state.reveal(path);
    this.#state.open.add(pathKey(path));
    this.#select(path, pathKey(path));
    this.reveal();
  }

  /** Brings the selected line into view. */
  reveal(): void {
    this.#tree.revealIn(this.#box);
  }

  /** Whether the focus is in the tree. */
  holds(target: Element): boolean {
    return this.#tree.element.contains(target);
  }

  /** Handles a key of the tree; returns whether it did. */
  key(key: string): boolean {
    const handled = this.#tree.key(key);
    if (handled) {
      this.reveal();
    }
    return handled;
  }

  /** Takes an answer with a value that was asked for. */
  receive(content: Record<string, unknown>): void {
    this.#values.receive(content);
  }

  dispose(): void {
    this.#values.dispose();
  }

  #select(path: Path, key: string): void {
    this.path = path;
    this.#state.selected = key;
    this.#selected(path);
    this.#showTree();
  }

  #toggle(row: Row): void {
    this.#state.toggle(row.key);
    const value = valueAt(this.#history.timeline.at(this.#position), row.path);
    if (value instanceof Deferred && this.#state.open.has(row.key)) {
      this.#values.fetch(value);
    }
    this.#showTree();
  }

  #showTree(): void {
    const found = rows(this.#history.timeline.at(this.#position), {
      state: this.#state,
      changes: this.#changes,
      lanes: this.#history.lanes.length,
      name: step => this.#history.laneName(step + 1),
      fetched: value => this.#values.get(value),
    });
    this.#tree.show(found, this.#state.selected);
  }
}
