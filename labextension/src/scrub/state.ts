/** The state document at any position: a checkpoint every 256 events, operations in between. */

import { upperBound } from './decode.ts';
import { type Container, Deferred, isContainer, type Json, parse, type Path } from './json.ts';

/** One change of the document: `[path, value]` sets, `[path]` removes, a third member defers the value. */
export type Op = [Path] | [Path, Json] | [Path, Json, 1];

const STRIDE = 256;
/** Also kept is the document this many events before a distant one: the next steps may go back. */
const BEHIND = 32;

interface Known {
  position: number;
  document: Json;
}

/** Returns the operations of a chunk, one list an event, with deferred values in place. */
export function operationsOf(patches: string): Op[][] {
  const found = parse(patches) as unknown as Op[][];
  for (const ops of found) {
    for (const op of ops) {
      if (op.length === 3) {
        op[1] = deferred(op[1]);
      }
    }
  }
  return found;
}

function deferred(value: Json): Json {
  const told = value as unknown as { key: string; bytes: number; head: string };
  return new Deferred(String(told.key), Number(told.bytes), String(told.head ?? ''));
}

/** Documents by position. What it returns is shared between positions and must not be changed. */
export class Timeline {
  #ops: Op[][] = [];
  #checkpoints: Json[] = [{ run: {}, steps: [] }];
  #last: Known = { position: 0, document: this.#checkpoints[0] as Json };
  #behind: Known = this.#last;
  // Positions by the first two parts of the paths they change; under '' those that change more.
  #touched = new Map<string, number[]>();

  /** How many events it knows. */
  get length(): number {
    return this.#ops.length;
  }

  /** Cuts at `first` and appends one list of operations an event. */
  extend(first: number, ops: Op[][]): void {
    this.#ops.length = first;
    this.#checkpoints.length = Math.min(this.#checkpoints.length, Math.floor(first / STRIDE) + 1);
    this.#last = this.#behind = { position: 0, document: this.#checkpoints[0] as Json };
    this.#forget(first);
    for (const one of ops) {
      this.#ops.push(one);
      this.#index(one, this.#ops.length);
    }
    while (this.#checkpoints.length * STRIDE <= this.#ops.length) {
      const index = this.#checkpoints.length;
      const before = this.#checkpoints[index - 1] as Json;
      this.#checkpoints.push(this.#applied(before, (index - 1) * STRIDE, index * STRIDE));
    }
  }

  /** Returns the document after the first `position` events. */
  at(position: number): Json {
    let from = this.#before(position);
    if (position - from.position > BEHIND) {
      const document = this.#applied(from.document, from.position, position - BEHIND);
      from = this.#behind = { position: position - BEHIND, document };
    }
    const document = this.#applied(from.document, from.position, position);
    this.#last = { position, document };
    return document;
  }

  /** Returns the operations of the event that leads to `position`. */
  ops(position: number): Op[] {
    return this.#ops[position - 1] ?? [];
  }

  /**
   * Returns the nearest position beyond `from` whose event has an operation on, above or below the
   * path; `step` is 1 or -1.
   */
  touching(path: Path, from: number, step: 1 | -1): number | undefined {
    if (path.length < 2) {
      const next = from + step;
      return next >= 1 && next <= this.length ? next : undefined;
    }
    const found = [blockOf(path), ''].map(block => nearest(this.#touched.get(block) ?? [], from, step));
    const given = found.filter(position => position !== undefined);
    return given.length === 0 ? undefined : step === 1 ? Math.min(...given) : Math.max(...given);
  }

  // The nearest document at or before a position: of the last call, of a little before it, or a checkpoint.
  #before(position: number): Known {
    const index = Math.floor(position / STRIDE);
    const checkpoint = { position: index * STRIDE, document: this.#checkpoints[index] as Json };
    return [this.#last, this.#behind].reduce(
      (best, one) => (one.position <= position && one.position > best.position ? one : best),
      checkpoint,
    );
  }

  #index(ops: Op[], position: number): void {
    for (const [path] of ops) {
      const block = path.length < 2 ? '' : blockOf(path);
      const positions = this.#touched.get(block);
      if (positions === undefined) {
        this.#touched.set(block, [position]);
      } else if (positions[positions.length - 1] !== position) {
        positions.push(position);
      }
    }
  }

  #forget(first: number): void {
    for (const positions of this.#touched.values()) {
      positions.length = upperBound(positions, positions.length, first);
    }
  }

  #applied(document: Json, from: number, to: number): Json {
    const own = new Set<Container>();
    let root = document;
    for (let index = from; index < to; index++) {
      for (const op of this.#ops[index] as Op[]) {
        root = apply(root, op, own);
      }
    }
    return root;
  }
}

/** Returns the document with one operation applied; containers in `own` may be changed in place. */
export function apply(root: Json, op: Op, own: Set<Container>): Json {
  const path = op[0];
  if (path.length === 0) {
    return op.length > 1 ? (op[1] as Json) : null;
  }
  const top = owned(root, path[0] as string | number, own);
  let holder = top;
  for (let depth = 0; depth < path.length - 1; depth++) {
    const below = owned(read(holder, path[depth] as string | number), path[depth + 1] as string | number, own);
    write(holder, path[depth] as string | number, below);
    holder = below;
  }
  const last = path[path.length - 1] as string | number;
  if (op.length > 1) {
    write(holder, last, op[1] as Json);
  } else {
    remove(holder, last);
  }
  return top;
}

// Objects are copied without a prototype: then `__proto__` is a member like any other.
function owned(value: Json | undefined, key: string | number, own: Set<Container>): Container {
  if (isContainer(value) && own.has(value)) {
    return value;
  }
  const copy: Container =
    Array.isArray(value) || (!isContainer(value) && typeof key === 'number')
      ? Array.isArray(value)
        ? value.slice()
        : []
      : Object.assign(Object.create(null) as { [key: string]: Json }, isContainer(value) ? value : undefined);
  own.add(copy);
  return copy;
}

function read(holder: Container, key: string | number): Json | undefined {
  return Object.hasOwn(holder, key) ? (holder as Record<string | number, Json>)[key] : undefined;
}

function write(holder: Container, key: string | number, value: Json): void {
  // A list never has holes: a step that has not appeared is null.
  while (Array.isArray(holder) && typeof key === 'number' && holder.length < key) {
    holder.push(null);
  }
  (holder as Record<string | number, Json>)[key] = value;
}

function remove(holder: Container, key: string | number): void {
  if (!Array.isArray(holder)) {
    delete holder[key];
  } else if (key === holder.length - 1) {
    holder.pop();
  } else {
    holder[key as number] = null;
  }
}

function blockOf(path: Path): string {
  return `${path[0]}/${path[1]}`;
}

function nearest(positions: number[], from: number, step: 1 | -1): number | undefined {
  const above = upperBound(positions, positions.length, step === 1 ? from : from - 1);
  return step === 1 ? positions[above] : positions[above - 1];
}
