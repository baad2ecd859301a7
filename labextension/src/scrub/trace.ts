/** Which event changed what: the next change of a path, and the cause of every difference of two positions. */

import { type Change, changes, same } from './diff.ts';
import { isBelow, type Path, valueAt } from './json.ts';
import type { Timeline } from './state.ts';

/** A difference and the position of the event that made it last. */
export interface Traced extends Change {
  cause: number;
}

/** Returns what one event changed; `position` is the one after it. */
export function changedBy(timeline: Timeline, position: number, limit = Infinity): Change[] {
  const paths = topmost(timeline.ops(position).map(op => op[0]));
  if (paths.length === 0) {
    return [];
  }
  const [before, after] = [timeline.at(position - 1), timeline.at(position)];
  const found = paths.flatMap(path => below(path, changes(valueAt(before, path), valueAt(after, path), limit)));
  return found.slice(0, limit);
}

/** Returns the nearest position above (`step` 1) or below (-1) `from` whose event changed the path. */
export function nextChange(timeline: Timeline, path: Path, from: number, step: 1 | -1): number | undefined {
  let position = timeline.touching(path, from, step);
  while (position !== undefined && !differs(timeline, position, path)) {
    position = timeline.touching(path, position, step);
  }
  return position;
}

/** Returns the differences from position `low` to `high`, each with its cause, at most `limit`. */
export function explain(timeline: Timeline, low: number, high: number, limit: number): Traced[] {
  const found = changes(timeline.at(low), timeline.at(high), limit);
  return found.map(change => ({ ...change, cause: causeOf(timeline, change.path, low, high) }));
}

function topmost(paths: Path[]): Path[] {
  return paths.filter(
    (path, index) => !paths.some((other, at) => isBelow(path, other) && (other.length < path.length || at < index)),
  );
}

function below(path: Path, found: Change[]): Change[] {
  return found.map(change => ({ ...change, path: [...path, ...change.path] }));
}

function causeOf(timeline: Timeline, path: Path, low: number, high: number): number {
  const cause = nextChange(timeline, path, high + 1, -1);
  return cause !== undefined && cause > low ? cause : high;
}

function differs(timeline: Timeline, position: number, path: Path): boolean {
  const before = valueAt(timeline.at(position - 1), path);
  return !same(before, valueAt(timeline.at(position), path));
}
