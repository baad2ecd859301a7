/** The cursor, pins and settings as synced values: written after 150 ms of rest, read whenever Python sets them. */

import { Undo } from './dom.ts';
import type { Listener, Model } from './model.ts';

const REST_MS = 150;
export const SYNCED = ['t', 'pins', 'path', 'live', 'speed'] as const;
const DATA = ['meta', 'types', 'lanes', 'events', 'spans', 'patches'] as const;
export type Synced = (typeof SYNCED)[number];

export interface Heard {
  /** Somebody else changed a setting. */
  setting(key: Synced, value: unknown): void;
  /** The whole history was replaced. */
  data(): void;
  message(content: Record<string, unknown>, buffers: unknown[]): void;
}

export class Sync {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reload: ReturnType<typeof setTimeout> | undefined;
  #waiting = new Map<Synced, unknown>();
  #told = new Map<Synced, string>();
  readonly #undo = new Undo();
  readonly #model: Model;

  constructor(model: Model, heard: Heard) {
    this.#model = model;
    for (const key of SYNCED) {
      this.#on(`change:${key}`, () => this.#changed(key, heard));
    }
    // One update changes several values, each with an event of its own: they are read together.
    const reload = (): void => {
      clearTimeout(this.#reload);
      this.#reload = setTimeout(() => heard.data(), 0);
    };
    DATA.forEach(key => this.#on(`change:${key}`, reload));
    this.#on('msg:custom', (content, buffers) =>
      heard.message((content ?? {}) as Record<string, unknown>, Array.isArray(buffers) ? buffers : []),
    );
  }

  /** Tells Python once the person rests. */
  later(key: Synced, value: unknown): void {
    this.#waiting.set(key, value);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), REST_MS);
  }

  /** Tells Python now. */
  now(key: Synced, value: unknown): void {
    this.#waiting.set(key, value);
    this.flush();
  }

  flush(): void {
    clearTimeout(this.#timer);
    if (this.#waiting.size > 0) {
      for (const [key, value] of this.#waiting) {
        this.#told.set(key, JSON.stringify(value));
        this.#model.set(key, value);
      }
      this.#waiting.clear();
      this.#model.save_changes();
    }
  }

  dispose(): void {
    this.flush();
    clearTimeout(this.#reload);
    this.#undo.run();
  }

  #changed(key: Synced, heard: Heard): void {
    const value = this.#model.get(key);
    // What was told from here comes back as an echo, when the person may have moved on.
    if (this.#told.get(key) === JSON.stringify(value)) {
      return;
    }
    this.#told.delete(key);
    this.#waiting.delete(key);
    heard.setting(key, value);
  }

  #on(event: string, listener: Listener): void {
    this.#model.on(event, listener);
    this.#undo.add(() => this.#model.off(event, listener));
  }
}
