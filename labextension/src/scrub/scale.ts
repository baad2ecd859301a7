/** Where a position or an instant stands on the horizontal axis, in one of two scales, with zoom and pan. */

import { type Events, upperBound } from './decode.ts';

export type Mode = 'time' | 'events';

/** Pixels of air left and right of what is drawn: as much as the flag of a pin is wide. */
const MARGIN = 16;
const MAX_ZOOM_TIME = 0.01;

export class Scale {
  mode: Mode = 'time';
  width = 600;
  #low = 0;
  #high = 1;
  #fitted = true;
  readonly #events: Events;

  constructor(events: Events) {
    this.#events = events;
  }

  /** Shows everything, and goes on doing so as the history grows. */
  fit(): void {
    this.#fitted = true;
    this.#low = 0;
    this.#high = this.#extent();
  }

  /** Takes over a longer history. */
  grow(): void {
    if (this.#fitted) {
      this.fit();
    }
  }

  /** Changes the scale and shows everything. */
  choose(mode: Mode): void {
    this.mode = mode;
    this.fit();
  }

  /** Whether everything is in view. */
  get fitted(): boolean {
    return this.#fitted;
  }

  /** The values at the left and right edges: milliseconds, or positions. */
  get view(): readonly [number, number] {
    return [this.#low, this.#high];
  }

  /** Returns the pixel of a value of this scale. */
  x(value: number): number {
    return MARGIN + ((value - this.#low) / (this.#high - this.#low)) * (this.width - 2 * MARGIN);
  }

  /** Returns the value at a pixel. */
  value(x: number): number {
    return this.#low + ((x - MARGIN) / (this.width - 2 * MARGIN)) * (this.#high - this.#low);
  }

  /** Returns the pixel of a position: of the event that leads to it. */
  xOfPosition(position: number): number {
    return this.x(this.valueOfPosition(position));
  }

  /** Returns the position nearest to a pixel. */
  positionAt(x: number): number {
    const value = this.value(x);
    if (this.mode === 'events') {
      return Math.max(0, Math.min(this.#events.length, Math.round(value)));
    }
    // Half the way to the next event already shows that one, as on any slider.
    const before = this.#events.positionAt(value);
    const [left, right] = [this.#events.ms[before - 1], this.#events.ms[before]];
    const nearer = before < this.#events.length && (right as number) - value < value - (left ?? -Infinity);
    return x < MARGIN - 4 ? 0 : nearer ? this.#events.positionAt(right as number) : Math.max(before, 0);
  }

  /** Makes `factor` times as much visible; what is at pixel `x` stays there. */
  zoom(factor: number, x: number): void {
    const centre = this.value(x);
    const least = this.mode === 'events' ? 4 : MAX_ZOOM_TIME;
    const size = Math.min(this.#extent(), Math.max(least, (this.#high - this.#low) * factor));
    const share = (centre - this.#low) / (this.#high - this.#low);
    this.#place(centre - share * size, size);
  }

  /** Moves the view by pixels. */
  pan(pixels: number): void {
    const size = this.#high - this.#low;
    this.#place(this.#low + (pixels / (this.width - 2 * MARGIN)) * size, size);
  }

  /** Moves the view so that a position is in it; returns whether it had to. */
  reveal(position: number): boolean {
    const value = this.valueOfPosition(position);
    if (value >= this.#low && value <= this.#high) {
      return false;
    }
    const size = this.#high - this.#low;
    this.#place(value - size / 2, size);
    return true;
  }

  /** Returns the value of a position in this scale. */
  valueOfPosition(position: number): number {
    if (this.mode === 'events') {
      return position;
    }
    return position < 1 ? 0 : (this.#events.ms[Math.min(position, this.#events.length) - 1] ?? 0);
  }

  /** Returns an instant as a value of this scale; between two events it lies between their positions. */
  valueOfTime(ms: number): number {
    if (this.mode === 'time') {
      return ms;
    }
    const { length, ms: times } = this.#events;
    const position = upperBound(times, length, ms);
    if (position === 0 || position === length) {
      return position;
    }
    const [left, right] = [times[position - 1] as number, times[position] as number];
    return position + (right > left ? (ms - left) / (right - left) : 0);
  }

  /** Returns round values for the labels of the axis, about one every `apart` pixels. */
  ticks(apart: number): number[] {
    const wanted = Math.max(1, Math.floor((this.width - 2 * MARGIN) / apart));
    const step = nice((this.#high - this.#low) / wanted, this.mode);
    const first = Math.ceil(this.#low / step) * step;
    const found: number[] = [];
    for (let value = first; value <= this.#high + step * 1e-9 && found.length <= 2 * wanted; value += step) {
      found.push(value);
    }
    return found;
  }

  #place(low: number, size: number): void {
    const extent = this.#extent();
    this.#low = Math.max(0, Math.min(low, extent - size));
    this.#high = this.#low + size;
    this.#fitted = size >= extent;
  }

  #extent(): number {
    const { length, ms } = this.#events;
    const last = this.mode === 'events' ? length : (ms[length - 1] ?? 0);
    return Math.max(last, this.mode === 'events' ? 1 : MAX_ZOOM_TIME);
  }
}

const TIMES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

function nice(rough: number, mode: Mode): number {
  const seconds = rough / 1000;
  if (mode === 'time' && seconds > 1 && seconds <= 86_400) {
    return (TIMES.find(one => one >= seconds) as number) * 1000;
  }
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find(one => one * power >= rough) as number);
  return mode === 'events' ? Math.max(1, step) : step;
}

/** Returns the scale in which more of the events can be told apart. */
export function better(events: Events, width: number): Mode {
  const { length, ms } = events;
  const last = ms[length - 1] ?? 0;
  if (length < 3 || last <= 0) {
    return 'events';
  }
  const pixels = new Set<number>();
  for (let index = 0; index < length; index++) {
    pixels.add(Math.round(((ms[index] as number) / last) * width));
  }
  return pixels.size >= 0.4 * Math.min(length, width) ? 'time' : 'events';
}
