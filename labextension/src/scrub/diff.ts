/** The difference of two JSON values, as paths with what was there before and after. */

import { Deferred, Exact, isContainer, type Json, keysOf, member, type Path } from './json.ts';

/** One path that differs; undefined is "not there". */
export interface Change {
  path: Path;
  before: Json | undefined;
  after: Json | undefined;
}

/** Returns whether two values are the same JSON; deferred ones are when they have one key. */
export function same(before: Json | undefined, after: Json | undefined): boolean {
  return before === after || (alike(before, after) && changes(before, after, 1).length === 0);
}

/** Returns the smallest paths whose values differ, in document order, at most `limit` of them. */
export function changes(before: Json | undefined, after: Json | undefined, limit = Infinity): Change[] {
  const found: Change[] = [];
  compare(before, after, [], found, limit);
  return found;
}

function compare(
  before: Json | undefined,
  after: Json | undefined,
  path: Path,
  found: Change[],
  limit: number,
): void {
  if (before === after || found.length >= limit) {
    return;
  }
  if (!alike(before, after)) {
    found.push({ path, before, after });
    return;
  }
  if (!isContainer(before) || !isContainer(after)) {
    return;
  }
  for (const key of keysOf(before)) {
    const [was, is] = [member(before, key), member(after, key)];
    // Most members are shared between two positions: no path is built for those.
    if (was !== is) {
      compare(was, is, [...path, key], found, limit);
    }
  }
  for (const key of keysOf(after)) {
    if (!Object.hasOwn(before, key)) {
      compare(undefined, member(after, key), [...path, key], found, limit);
    }
  }
}

// Alike: equal, or two containers of one kind, which are compared member by member.
function alike(before: Json | undefined, after: Json | undefined): boolean {
  if (isContainer(before) && isContainer(after)) {
    return Array.isArray(before) === Array.isArray(after);
  }
  if (before instanceof Exact && after instanceof Exact) {
    return before.text === after.text;
  }
  if (before instanceof Deferred && after instanceof Deferred) {
    return before.key === after.key;
  }
  return before === after;
}
