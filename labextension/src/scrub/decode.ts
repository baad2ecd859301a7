/** Bytes to columns: 16 bytes an event, 24 bytes a span, little endian; columns grow as chunks arrive. */

export const EVENT_BYTES = 16;
export const SPAN_BYTES = 24;

export const SIGNIFICANT = 1;
export const STATUS = 2;
export const CORRECTION = 4;
export const FAILURE = 8;

/** What happened, one entry an event: `ms` since the first event, its lane, type and flags. */
export class Events {
  length = 0;
  ms = new Float64Array(256);
  lane = new Uint32Array(256);
  type = new Uint16Array(256);
  flags = new Uint16Array(256);

  /** Cuts the columns at `first` and appends the records. */
  extend(first: number, bytes: DataView): void {
    const count = Math.floor(bytes.byteLength / EVENT_BYTES);
    this.#reserve(first + count);
    for (let index = 0; index < count; index++) {
      const at = index * EVENT_BYTES;
      this.ms[first + index] = bytes.getFloat64(at, true);
      this.lane[first + index] = bytes.getUint32(at + 8, true);
      this.type[first + index] = bytes.getUint16(at + 12, true);
      this.flags[first + index] = bytes.getUint16(at + 14, true);
    }
    this.length = first + count;
  }

  /** Returns how many events had happened at an instant: the position that shows it. */
  positionAt(ms: number): number {
    return upperBound(this.ms, this.length, ms);
  }

  #reserve(needed: number): void {
    if (needed > this.ms.length) {
      const size = Math.max(needed, this.ms.length * 2);
      this.ms = grown(this.ms, new Float64Array(size));
      this.lane = grown(this.lane, new Uint32Array(size));
      this.type = grown(this.type, new Uint16Array(size));
      this.flags = grown(this.flags, new Uint16Array(size));
    }
  }
}

/** Stretches of time in a lane; an open end is NaN. */
export class Spans {
  length = 0;
  start = new Float64Array(256);
  end = new Float64Array(256);
  lane = new Uint32Array(256);
  kind = new Uint16Array(256);
  attempt = new Uint16Array(256);

  /** Cuts the columns at `first` and appends the records. */
  extend(first: number, bytes: DataView): void {
    const count = Math.floor(bytes.byteLength / SPAN_BYTES);
    this.#reserve(first + count);
    for (let index = 0; index < count; index++) {
      const at = index * SPAN_BYTES;
      this.start[first + index] = bytes.getFloat64(at, true);
      this.end[first + index] = bytes.getFloat64(at + 8, true);
      this.lane[first + index] = bytes.getUint32(at + 16, true);
      this.kind[first + index] = bytes.getUint16(at + 20, true);
      this.attempt[first + index] = bytes.getUint16(at + 22, true);
    }
    this.length = first + count;
  }

  #reserve(needed: number): void {
    if (needed > this.start.length) {
      const size = Math.max(needed, this.start.length * 2);
      this.start = grown(this.start, new Float64Array(size));
      this.end = grown(this.end, new Float64Array(size));
      this.lane = grown(this.lane, new Uint32Array(size));
      this.kind = grown(this.kind, new Uint16Array(size));
      this.attempt = grown(this.attempt, new Uint16Array(size));
    }
  }
}

function grown<T extends Float64Array | Uint32Array | Uint16Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}

/** Returns how many of the first `length` sorted values are not above `value`. */
export function upperBound(sorted: ArrayLike<number>, length: number, value: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) <= value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
