/** Numbers, times and values as short texts. */

import { Deferred, Exact, isContainer, type Json, keysOf, member, type Path, sizeOf } from './json.ts';

const WHOLE = new Intl.NumberFormat('en');
const UNITS: readonly [string, number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

/** Returns "12 µs", "3.2 ms", "1.5 s", "2 min 5 s", "3 h 20 min". */
export function duration(ms: number): string {
  const size = Math.abs(ms);
  if (size < 1) {
    return `${trimmed(ms * 1000, 0)} µs`;
  }
  if (size < 1_000) {
    return `${trimmed(ms, size < 100 ? 1 : 0)} ms`;
  }
  if (size < 60_000) {
    return `${trimmed(ms / 1000, size < 10_000 ? 2 : 1)} s`;
  }
  const unit = UNITS.findIndex(([, worth]) => size >= worth);
  const [name, worth] = UNITS[unit] as [string, number];
  const [smaller, part] = UNITS[unit + 1] as [string, number];
  const rest = Math.floor((size % worth) / part);
  const whole = `${ms < 0 ? '-' : ''}${Math.floor(size / worth)} ${name}`;
  return rest ? `${whole} ${rest} ${smaller}` : whole;
}

function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

/** Returns "950 B", "64 kB", "5 MB". */
export function bytes(count: number): string {
  if (count < 1_000) {
    return `${count} B`;
  }
  return count < 1_000_000 ? `${trimmed(count / 1_000, 1)} kB` : `${trimmed(count / 1_000_000, 1)} MB`;
}

/** Returns the instant `ms` after `t0` (nanoseconds as decimal text) as local clock time. */
export function clock(t0: string, ms: number): string {
  if (!/^\d{1,20}$/.test(t0)) {
    return '';
  }
  const at = new Date(Number(BigInt(t0) / 1_000_000n) + ms);
  if (Number.isNaN(at.getTime())) {
    return '';
  }
  const part = (value: number, size = 2): string => String(value).padStart(size, '0');
  const day = `${at.getFullYear()}-${part(at.getMonth() + 1)}-${part(at.getDate())}`;
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(value => part(value)).join(':');
  return `${day} ${time}.${part(at.getMilliseconds(), 3)}`;
}

/** Returns the text cut to `limit` characters, an ellipsis as the last. */
export function clip(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}

/** Returns the value on one line of at most `limit` characters: `{"order": "o-1", "total": 12, …}`. */
export function inline(value: Json | undefined, limit = 80): string {
  return clip(written(value, limit), limit);
}

// Stops writing when the line is full: a value may be far larger than what is shown of it.
function written(value: Json | undefined, room: number): string {
  if (value === undefined) {
    return 'not there';
  }
  if (value instanceof Exact) {
    return value.text;
  }
  if (value instanceof Deferred) {
    return `${bytes(value.bytes)} ${value.head}`;
  }
  if (!isContainer(value)) {
    return typeof value === 'string'
      ? JSON.stringify(value.length > room ? value.slice(0, room) : value)
      : String(value);
  }
  const parts: string[] = [];
  let used = 2;
  for (const key of firstKeys(value, room)) {
    if (used > room) {
      break;
    }
    const shown = written(member(value, key), room - used);
    parts.push(Array.isArray(value) ? shown : `${clip(String(key), 40)}: ${shown}`);
    used += (parts[parts.length - 1] as string).length + 2;
  }
  const all = parts.length === sizeOf(value) ? parts : [...parts, '…'];
  return Array.isArray(value) ? `[${all.join(', ')}]` : `{${all.join(', ')}}`;
}

function firstKeys(value: Json[] | { [key: string]: Json }, room: number): (string | number)[] {
  return Array.isArray(value)
    ? Array.from({ length: Math.min(value.length, room) }, (_, index) => index)
    : keysOf(value);
}

/** Returns "3 items", "1 member": what a closed container holds. */
export function counted(count: number, noun: string): string {
  return `${WHOLE.format(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** Returns a path for a person: `charge › output › total`, `run › status`. */
export function pathText(path: Path, names: (index: number) => string): string {
  const [first, step] = path;
  const isStep = first === 'steps' && typeof step === 'number';
  const parts = isStep ? [names(step), ...path.slice(2)] : path;
  return parts.map(part => clip(String(part), 60)).join(' › ') || 'everything';
}
