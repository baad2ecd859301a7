/** Which lines of a JSON tree are visible: only what is open is looked at, whatever the size of the rest. */

import type { Change } from './diff.ts';
import { counted, inline } from './format.ts';
import {
  type Container,
  Deferred,
  isContainer,
  type Json,
  keysOf,
  member,
  type Path,
  pathKey,
  sizeOf,
} from './json.ts';
import type { Fetched } from './values.ts';

/** Longer lists are shown in ranges of this many, and those in ranges of ranges. */
const RANGE = 100;
const MOST_ROWS = 400;
/** Characters of a text on its line; "show more" adds a page of `PAGE`. */
export const LINE = 100;
export const PAGE = 10_000;

export type Mark = '' | 'added' | 'changed' | 'inside';

/** One line: a member, a range of a long list, a step that had not appeared, or a remark. */
export interface Row {
  key: string;
  path: Path;
  depth: number;
  kind: 'value' | 'range' | 'ghost' | 'remark';
  label: string;
  value: Json | undefined;
  text: string;
  openable: boolean;
  open: boolean;
  mark: Mark;
  more: boolean;
  deferred: '' | 'closed' | Fetched['state'];
}

/** What a person has opened and selected; it outlives the document it was opened in. */
export class TreeState {
  open = new Set<string>(['[]', pathKey(['run']), pathKey(['steps'])]);
  shown = new Map<string, number>();
  selected = '';

  /** Opens or closes a line. */
  toggle(key: string): void {
    if (!this.open.delete(key)) {
      this.open.add(key);
    }
  }

  /** Opens all that lies above a path, the ranges of long lists too, and selects it. */
  reveal(path: Path): void {
    for (let depth = 0; depth < path.length; depth++) {
      const above = path.slice(0, depth);
      this.open.add(pathKey(above));
      const last = path[depth];
      if (typeof last === 'number') {
        rangesAround(last).forEach(range => this.open.add(rangeKey(pathKey(above), range)));
      }
    }
    this.selected = pathKey(path);
  }

  /** Shows another page of a long text. */
  showMore(key: string): void {
    this.shown.set(key, (this.shown.get(key) ?? 0) + PAGE);
  }
}

/** What the lines of a document depend on beside it. */
export interface Surroundings {
  state: TreeState;
  changes: readonly Change[];
  lanes: number;
  name(step: number): string;
  fetched(value: Deferred): Fetched | undefined;
}

/** Returns the visible lines of a state document, at most 400. */
export function rows(document: Json, around: Surroundings): Row[] {
  return new Walk(around).rows(document);
}

class Walk {
  readonly #around: Surroundings;
  readonly #marks: Map<string, Mark>;
  readonly #found: Row[] = [];

  constructor(around: Surroundings) {
    this.#around = around;
    this.#marks = marksOf(around.changes);
  }

  rows(document: Json): Row[] {
    for (const key of ['run', 'steps']) {
      this.#visit([key], pathKey([key]), key, member(document, key), 1);
    }
    return this.#found;
  }

  #visit(path: Path, key: string, label: string, value: Json | undefined, depth: number): void {
    if (this.#found.length >= MOST_ROWS) {
      this.#full(depth);
      return;
    }
    if (isStep(path) && (value === null || value === undefined)) {
      this.#found.push({ ...blank(path, key, depth), kind: 'ghost', label, text: 'not yet' });
      return;
    }
    const fetched = value instanceof Deferred ? this.#around.fetched(value) : undefined;
    const open = this.#around.state.open.has(key);
    const shown = value instanceof Deferred && open && fetched?.state === 'ready' ? fetched.value : value;
    const row = this.#row(path, key, label, shown, depth, open);
    if (value instanceof Deferred) {
      row.deferred = open ? (fetched?.state ?? 'loading') : 'closed';
      row.openable = true;
      row.text = fetched?.state === 'error' ? fetched.error : row.text;
    }
    this.#found.push(row);
    if (row.open && isContainer(shown)) {
      this.#members(path, key, shown, depth);
    }
  }

  #row(path: Path, key: string, label: string, value: Json | undefined, depth: number, open: boolean): Row {
    const openable = isContainer(value) && this.#count(path, value) > 0;
    const row = {
      ...blank(path, key, depth),
      label,
      value,
      openable,
      open: (open && openable) || (value instanceof Deferred && open),
    };
    row.mark = this.#marks.get(key) ?? '';
    if (typeof value === 'string') {
      const limit = LINE + (this.#around.state.shown.get(key) ?? 0);
      row.text = value.length > limit ? JSON.stringify(value.slice(0, limit)).slice(0, -1) : JSON.stringify(value);
      row.more = value.length > limit;
    } else if (row.open && isContainer(value)) {
      const count = this.#count(path, value);
      row.text = counted(count, isSteps(path) ? 'step' : Array.isArray(value) ? 'item' : 'member');
    } else {
      row.text = isContainer(value) ? summary(value, isStep(path)) : inline(value, LINE);
    }
    return row;
  }

  #members(path: Path, key: string, value: Container, depth: number): void {
    if (Array.isArray(value)) {
      const count = this.#count(path, value);
      this.#range(path, key, value, { from: 0, to: count }, depth + 1);
      return;
    }
    const keys = keysOf(value);
    for (const name of keys) {
      if (this.#found.length > MOST_ROWS) {
        return;
      }
      this.#visit([...path, name], childKey(key, name), String(name), member(value, name), depth + 1);
    }
  }

  #range(path: Path, key: string, list: Json[], range: Range, depth: number): void {
    const size = range.to - range.from;
    const step = RANGE ** Math.max(0, Math.ceil(Math.log(size) / Math.log(RANGE) - 1e-9) - 1);
    for (let from = range.from; from < range.to && this.#found.length <= MOST_ROWS; from += step) {
      if (step === 1) {
        const label = isSteps(path) ? this.#around.name(from) : String(from);
        this.#visit([...path, from], childKey(key, from), label, list[from], depth);
      } else {
        this.#bucket(path, key, list, { from, to: Math.min(from + step, range.to) }, depth, step);
      }
    }
  }

  #bucket(path: Path, key: string, list: Json[], range: Range, depth: number, step: number): void {
    const own = rangeKey(key, { from: range.from, to: range.from + step });
    const open = this.#around.state.open.has(own);
    const inside = this.#around.changes.some(
      one =>
        one.path.length > path.length &&
        path.every((part, at) => part === one.path[at]) &&
        Number(one.path[path.length]) >= range.from &&
        Number(one.path[path.length]) < range.to,
    );
    const label = `${range.from} … ${range.to - 1}`;
    const row: Row = {
      ...blank(path, own, depth),
      kind: 'range',
      label,
      openable: true,
      open,
      mark: inside ? 'inside' : '',
    };
    this.#found.push(row);
    if (open) {
      this.#range(path, key, list, range, depth + 1);
    }
  }

  #count(path: Path, value: Container): number {
    return isSteps(path) ? Math.max(sizeOf(value), this.#around.lanes - 1) : sizeOf(value);
  }

  #full(depth: number): void {
    if (this.#found.length === MOST_ROWS) {
      const text = `Only the first ${MOST_ROWS} lines are shown; close some to see what follows.`;
      this.#found.push({ ...blank([], 'full', depth), kind: 'remark', text });
    }
  }
}

interface Range {
  from: number;
  to: number;
}

function isSteps(path: Path): boolean {
  return path.length === 1 && path[0] === 'steps';
}

function isStep(path: Path): boolean {
  return path.length === 2 && path[0] === 'steps';
}

// A closed step says what matters of it: how it stands and what it gave.
function stepLine(step: Container): string {
  const attempt = Number(member(step, 'attempt') ?? 1);
  const result = ['output', 'error'].map(name => member(step, name)).find(value => value !== undefined);
  const parts = [
    String(member(step, 'status') ?? '').replaceAll('_', ' '),
    attempt > 1 ? `attempt ${attempt}` : '',
    member(step, 'patched') === true ? 'patched' : '',
    member(step, 'injected') === true ? 'injected' : '',
    result === undefined ? '' : inline(result, LINE),
  ];
  return parts.filter(Boolean).join(' · ');
}

function blank(path: Path, key: string, depth: number): Row {
  return {
    key,
    path,
    depth,
    kind: 'value',
    label: '',
    value: undefined,
    text: '',
    openable: false,
    open: false,
    mark: '',
    more: false,
    deferred: '',
  };
}

function childKey(key: string, part: string | number): string {
  const own = JSON.stringify(part);
  return key === '[]' ? `[${own}]` : `${key.slice(0, -1)},${own}]`;
}

function rangeKey(key: string, range: Range): string {
  return `${key}#${range.from}-${range.to}`;
}

// A list of up to RANGE^n entries is shown in n - 1 levels of ranges; opening all that may exist is harmless.
function rangesAround(index: number): Range[] {
  return [RANGE, RANGE ** 2, RANGE ** 3].map(size => {
    const from = Math.floor(index / size) * size;
    return { from, to: from + size };
  });
}

function marksOf(changes: readonly Change[]): Map<string, Mark> {
  const marks = new Map<string, Mark>();
  for (const { path, before, after } of changes) {
    for (let depth = 0; depth < path.length; depth++) {
      marks.set(pathKey(path.slice(0, depth)), 'inside');
    }
    if (after !== undefined) {
      marks.set(pathKey(path), before === undefined || before === null ? 'added' : 'changed');
    }
  }
  return marks;
}

const summaries = new WeakMap<Container, string>();

// Values never change in place, so a line is written once for each.
function summary(value: Container, step: boolean): string {
  let text = summaries.get(value);
  if (text === undefined) {
    text = step ? stepLine(value) : inline(value, LINE);
    summaries.set(value, text);
  }
  return text;
}
