/** Values that stayed with the sender: asked for by message when somebody opens them, kept once they came. */

import { type Deferred, type Json, parse } from './json.ts';
import type { Model } from './model.ts';

export type Fetched = { state: 'loading' } | { state: 'ready'; value: Json } | { state: 'error'; error: string };

const PATIENCE = 20_000;
/** Larger values than this are not fetched: a browser tab has its limits. */
export const LARGEST = 64_000_000;

export class Values {
  #known = new Map<string, Fetched>();
  #asked = new Map<string, { key: string; timer: ReturnType<typeof setTimeout> }>();
  #count = 0;
  readonly #model: Model;
  readonly #changed: () => void;

  constructor(model: Model, changed: () => void) {
    this.#model = model;
    this.#changed = changed;
  }

  /** Returns what is known of a value, or undefined when nobody asked for it. */
  get(value: Deferred): Fetched | undefined {
    return this.#known.get(value.key);
  }

  /** Asks for a value unless it is here or on its way; after an error it asks again. */
  fetch(value: Deferred): void {
    const known = this.#known.get(value.key);
    if (known?.state === 'ready' || known?.state === 'loading') {
      return;
    }
    if (value.bytes > LARGEST) {
      this.#known.set(value.key, { state: 'error', error: 'too large to show here; read it in Python' });
      return;
    }
    const id = String(++this.#count);
    const timer = setTimeout(() => this.#fail(id, 'no answer; it needs a running kernel'), PATIENCE);
    this.#asked.set(id, { key: value.key, timer });
    this.#known.set(value.key, { state: 'loading' });
    try {
      this.#model.send({ kind: 'value', key: value.key, id });
    } catch (error) {
      this.#fail(id, `could not be asked for: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Takes an answer; one that nobody asked for is ignored. */
  receive(content: Record<string, unknown>): void {
    const id = String(content['id']);
    const asked = this.#asked.get(id);
    if (content['kind'] !== 'value' || asked === undefined) {
      return;
    }
    if (content['found'] !== true) {
      this.#fail(id, String(content['error'] ?? 'it is not there any more'));
      return;
    }
    try {
      this.#settle(id, { state: 'ready', value: parse(String(content['json'])) });
    } catch (error) {
      this.#fail(id, `could not be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Waits for nothing any more. */
  dispose(): void {
    this.#asked.forEach(({ timer }) => clearTimeout(timer));
    this.#asked.clear();
  }

  #fail(id: string, error: string): void {
    this.#settle(id, { state: 'error', error });
  }

  #settle(id: string, fetched: Fetched): void {
    const asked = this.#asked.get(id);
    if (asked !== undefined) {
      clearTimeout(asked.timer);
      this.#asked.delete(id);
      this.#known.set(asked.key, fetched);
      this.#changed();
    }
  }
}
