/** JSON values that keep what plain JSON.parse would lose: exact digits, and values that are not here yet. */

/** An integer that a double cannot hold; shown with its own digits. */
export class Exact {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A value that stayed with the sender; fetched by its key when somebody looks. */
export class Deferred {
  readonly key: string;
  readonly bytes: number;
  readonly head: string;

  constructor(key: string, bytes: number, head: string) {
    this.key = key;
    this.bytes = bytes;
    this.head = head;
  }
}

export type Container = Json[] | { [key: string]: Json };
export type Json = null | boolean | number | string | Exact | Deferred | Container;
export type Path = readonly (string | number)[];

const LONG_DIGITS = /\d{16,}/;
const INTEGER = /^-?\d+$/;

/** Parses JSON; integers beyond 2^53 become `Exact` where the engine tells their source text. */
export function parse(text: string): Json {
  // A reviver costs several times as much, so only texts with long digits pay for it.
  return LONG_DIGITS.test(text) ? JSON.parse(text, exactly) : JSON.parse(text);
}

function exactly(_key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  const lost =
    typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined && INTEGER.test(source);
  return lost ? new Exact(source) : value;
}

/** Returns whether the value has members: a list or an object, neither exact number nor deferred. */
export function isContainer(value: Json | undefined): value is Container {
  return typeof value === 'object' && value !== null && !(value instanceof Exact) && !(value instanceof Deferred);
}

/** Returns a member, or undefined; what objects inherit (`__proto__`, `constructor`) is never a member. */
export function member(value: Json | undefined, key: string | number): Json | undefined {
  if (!isContainer(value) || !Object.hasOwn(value, key)) {
    return undefined;
  }
  return (value as Record<string | number, Json>)[key];
}

/** Returns what stands at a path, or undefined. */
export function valueAt(value: Json | undefined, path: Path): Json | undefined {
  return path.reduce<Json | undefined>((found, key) => member(found, key), value);
}

/** Returns the keys of a container in their order: numbers of a list, texts of an object. */
export function keysOf(value: Container): (string | number)[] {
  return Array.isArray(value) ? Array.from(value.keys()) : Object.keys(value);
}

/** Returns the number of members. */
export function sizeOf(value: Container): number {
  return Array.isArray(value) ? value.length : Object.keys(value).length;
}

/** Returns the text that names a path: JSON, so that no key can be taken for another. */
export function pathKey(path: Path): string {
  return JSON.stringify(path);
}

/** Returns the path of a text made by `pathKey`, or undefined for any other text. */
export function pathOf(text: string): Path | undefined {
  if (!text) {
    return undefined;
  }
  try {
    const found: unknown = JSON.parse(text);
    return Array.isArray(found) && found.every(isKey) ? found : undefined;
  } catch {
    return undefined;
  }
}

function isKey(part: unknown): part is string | number {
  return typeof part === 'string' || typeof part === 'number';
}

/** Returns whether `path` is `prefix` or lies below it. */
export function isBelow(path: Path, prefix: Path): boolean {
  return prefix.length <= path.length && prefix.every((part, index) => part === path[index]);
}
