/** Moving the cursor by itself: along the run's own time at a speed, or event by event. */

import type { Events } from './decode.ts';

/** The speed that means "event by event". */
export const EACH = 0;
export const SPEEDS: readonly number[] = [0.5, 1, 2, 4, 8, 16, EACH];
/** Milliseconds that one event stays when playing event by event. */
const EACH_MS = 250;
const CALM_MS = 1_000;
/** No silence is played for longer than this: sleeps of hours would never end. */
const LONGEST_MS = 1_000;

export interface Stage {
  events: Events;
  position(): number;
  go(position: number): void;
  changed(): void;
  /** Whether the person asked for little motion: then one event a second, whatever the speed. */
  calm(): boolean;
}

/** What the browser offers to be called at the next frame; tests bring their own. */
export interface Frames {
  request(callback: (now: number) => void): number;
  cancel(handle: number): void;
}

export class Player {
  speed = 1;
  #handle: number | undefined;
  #before = 0;
  #spent = 0;
  readonly #stage: Stage;
  readonly #frames: Frames;

  constructor(stage: Stage, frames: Frames) {
    this.#stage = stage;
    this.#frames = frames;
  }

  get playing(): boolean {
    return this.#handle !== undefined;
  }

  /** Plays from the cursor; at the end, from the beginning. */
  play(): void {
    if (this.playing || this.#stage.events.length === 0) {
      return;
    }
    if (this.#stage.position() >= this.#stage.events.length) {
      this.#stage.go(0);
    }
    this.#spent = 0;
    this.#before = NaN;
    this.#handle = this.#frames.request(now => this.#frame(now));
    this.#stage.changed();
  }

  /** Stops where it is. */
  pause(): void {
    if (this.#handle !== undefined) {
      this.#frames.cancel(this.#handle);
      this.#handle = undefined;
      this.#stage.changed();
    }
  }

  toggle(): void {
    if (this.playing) {
      this.pause();
    } else {
      this.play();
    }
  }

  #frame(now: number): void {
    this.#spent += Number.isNaN(this.#before) ? 0 : now - this.#before;
    this.#before = now;
    const [from, end] = [this.#stage.position(), this.#stage.events.length];
    let position = from;
    while (position < end && this.#spent >= this.#gap(position)) {
      this.#spent -= this.#gap(position);
      position += 1;
    }
    this.#handle = this.#frames.request(later => this.#frame(later));
    if (position !== from) {
      this.#stage.go(position);
    }
    if (position >= end) {
      this.pause();
    }
  }

  // Watched milliseconds between a position and the next.
  #gap(position: number): number {
    if (this.#stage.calm()) {
      return CALM_MS;
    }
    if (this.speed === EACH) {
      return EACH_MS;
    }
    const { ms } = this.#stage.events;
    const [left, right] = [ms[position - 1] ?? (ms[0] as number), ms[position] as number];
    return Math.min(LONGEST_MS, (right - left) / this.speed);
  }
}
