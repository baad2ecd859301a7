/** The tree on the page: one element a visible line, changed only where the line has changed. */

import { h, setAttribute, setText, uniqueId } from './dom.ts';
import { bytes } from './format.ts';
import { Deferred, Exact, isContainer } from './json.ts';
import type { Row } from './tree.ts';

export interface TreeActions {
  toggle(row: Row): void;
  select(row: Row): void;
  more(row: Row): void;
}

interface Line {
  row: Row;
  element: HTMLElement;
  twist: HTMLElement;
  key: HTMLElement;
  value: HTMLElement;
  badge: HTMLElement;
  more: HTMLButtonElement;
  filled: boolean;
}

const BADGES = { added: 'new', changed: 'changed', inside: '• changed inside', '': '' } as const;

export class TreeView {
  readonly element = h('div', { class: 'ifl-tree', role: 'tree', tabindex: 0, 'aria-label': 'State at the cursor' });
  readonly #id = uniqueId('line');
  readonly #actions: TreeActions;
  #lines: Line[] = [];
  #selected = '';

  constructor(actions: TreeActions) {
    this.#actions = actions;
    this.element.addEventListener('click', event => this.#clicked(event));
  }

  /** Shows these lines. */
  show(rows: Row[], selected: string): void {
    while (this.#lines.length > rows.length) {
      this.#lines.pop()?.element.remove();
    }
    rows.forEach((row, index) => {
      const line = this.#lines[index] ?? this.#add(row);
      const wasSelected = line.row.key === this.#selected;
      if (!line.filled || wasSelected !== (row.key === selected) || !sameLine(line.row, row)) {
        this.#fill(line, row, index, row.key === selected);
      }
      line.row = row;
    });
    this.#selected = selected;
    const at = rows.findIndex(row => row.key === selected);
    setAttribute(this.element, 'aria-activedescendant', at < 0 ? undefined : `${this.#id}-${at}`);
  }

  /** Scrolls the selected line into view inside `box`, and nothing else of the page. */
  revealIn(box: HTMLElement): void {
    const line = this.#lines.find(one => one.row.key === this.#selected);
    if (line !== undefined) {
      const top = line.element.offsetTop - this.element.offsetTop;
      const hidden = top < box.scrollTop || top + 24 > box.scrollTop + box.clientHeight;
      box.scrollTop = hidden ? Math.max(0, top - box.clientHeight / 3) : box.scrollTop;
    }
  }

  /** Handles the keys of a tree; returns whether it did. */
  key(key: string): boolean {
    const at = this.#lines.findIndex(line => line.row.key === this.#selected);
    const row = this.#lines[at]?.row;
    const target = this.#target(key, at, row);
    if (target !== undefined) {
      this.#actions.select(target);
      return true;
    }
    const wants = key === 'Enter' || (key === 'ArrowRight' && !row?.open) || (key === 'ArrowLeft' && row?.open);
    if (row !== undefined && wants && row.openable) {
      this.#actions.toggle(row);
    } else if (row !== undefined && key === 'Enter' && row.more) {
      this.#actions.more(row);
    }
    return /^(Arrow|Home|End|Enter)/.test(key);
  }

  #target(key: string, at: number, row: Row | undefined): Row | undefined {
    const all = this.#lines.map(line => line.row);
    switch (key) {
      case 'ArrowDown':
        return all[Math.min(at + 1, all.length - 1)];
      case 'ArrowUp':
        return all[Math.max(at - 1, 0)];
      case 'Home':
        return all[0];
      case 'End':
        return all[all.length - 1];
      case 'ArrowRight':
        return row?.open ? all[at + 1] : undefined;
      case 'ArrowLeft':
        return row === undefined || row.open ? undefined : parentOf(all, at);
      default:
        return undefined;
    }
  }

  #clicked(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const line = this.#lines.find(one => target !== null && one.element.contains(target));
    if (line === undefined || line.row.kind === 'remark') {
      return;
    }
    this.#actions.select(line.row);
    if (line.more.contains(target)) {
      this.#actions.more(line.row);
    } else if (line.row.openable && (target === line.twist || event.detail === 2 || target === line.key)) {
      this.#actions.toggle(line.row);
    }
  }

  #add(row: Row): Line {
    const parts = {
      twist: h('span', { class: 'ifl-twist', 'aria-hidden': 'true' }),
      key: h('span', { class: 'ifl-key' }),
      value: h('span', { class: 'ifl-value' }),
      badge: h('span', { class: 'ifl-badge' }),
      more: h('button', { type: 'button', tabindex: -1 }, 'show more'),
    };
    const element = h('div', { class: 'ifl-line', role: 'treeitem' }, ...Object.values(parts));
    const line = { row, element, ...parts, filled: false };
    this.#lines.push(line);
    this.element.append(element);
    return line;
  }

  #fill(line: Line, row: Row, index: number, selected: boolean): void {
    const { element } = line;
    line.filled = true;
    setAttribute(element, 'id', `${this.#id}-${index}`);
    setAttribute(element, 'style', `--ifl-depth:${row.depth - 1}`);
    setAttribute(element, 'aria-level', row.depth);
    setAttribute(element, 'aria-selected', selected ? 'true' : 'false');
    setAttribute(element, 'aria-expanded', row.openable ? String(row.open) : undefined);
    setAttribute(element, 'data-kind', row.kind === 'value' ? undefined : row.kind);
    setAttribute(element, 'data-path', row.kind === 'value' || row.kind === 'ghost' ? row.key : undefined);
    setAttribute(element, 'data-mark', row.mark || undefined);
    setAttribute(element, 'data-deferred', row.deferred || undefined);
    setText(line.twist, row.openable ? (row.open ? '▾' : '▸') : '');
    setText(line.key, row.label);
    setText(line.value, textOf(row));
    setAttribute(line.value, 'data-type', typeOf(row));
    setText(line.badge, BADGES[row.mark]);
    line.badge.hidden = row.mark === '';
    line.more.hidden = !row.more;
  }
}

function parentOf(rows: Row[], at: number): Row | undefined {
  const depth = rows[at]?.depth ?? 0;
  return rows
    .slice(0, at)
    .reverse()
    .find(row => row.depth < depth);
}

function sameLine(one: Row, other: Row): boolean {
  return (
    one.key === other.key &&
    one.text === other.text &&
    one.mark === other.mark &&
    one.open === other.open &&
    one.openable === other.openable &&
    one.deferred === other.deferred &&
    one.more === other.more &&
    one.label === other.label &&
    one.kind === other.kind &&
    typeOf(one) === typeOf(other)
  );
}

function textOf(row: Row): string {
  if (row.deferred === '' || row.deferred === 'ready' || !(row.value instanceof Deferred)) {
    return row.text;
  }
  const size = bytes(row.value.bytes);
  switch (row.deferred) {
    case 'loading':
      return `${size}, loading…`;
    case 'error':
      return `${size}, ${row.text} (close and open to try again)`;
    default:
      return `${size}, open to load: ${row.value.head.slice(0, 60)}…`;
  }
}

function typeOf(row: Row): string {
  if (row.deferred === 'error') {
    return 'error';
  }
  if (row.kind !== 'value' || (row.open && isContainer(row.value)) || row.value instanceof Deferred) {
    return 'faint';
  }
  if (typeof row.value === 'string') {
    return 'string';
  }
  if (typeof row.value === 'number' || row.value instanceof Exact) {
    return 'number';
  }
  return isContainer(row.value) ? 'container' : 'literal';
}
