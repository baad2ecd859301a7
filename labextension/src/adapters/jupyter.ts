/** The view's model over the Jupyter server's handlers: history by chunks, followed while it is live. */

import type { Listener, Model } from '../scrub/model.ts';
import { type Ask, Refusal } from './ask.ts';

const HELD_SECONDS = 20;
const PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;

interface Told {
  cursor: string;
  ended: boolean;
  chunk: Record<string, unknown> | null;
}

type Pause = (ms: number, signal: AbortSignal) => Promise<void>;

export class JupyterModel implements Model {
  readonly #values = new Map<string, unknown>([['t', 0], ['pins', [-1, -1]], ['path', ''], ['live', false], ['speed', 1]]);
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #run: string;
  readonly #folder: string;
  readonly #ask: Ask;
  readonly #pause: Pause;
  readonly #gone = new AbortController();
  #following: AbortController | undefined;
  #cursor = '';
  #length = 0;
  #troubled = false;

  constructor(run: string, folder: string, ask: Ask, pause: Pause = sleep) {
    this.#run = run;
    this.#folder = folder;
    this.#ask = ask;
    this.#pause = pause;
  }

  /** Reads all there is; a run that has not ended is followed from then on. Throws a `Refusal`. */
  async load(): Promise<void> {
    const { chunk, ended } = await this.#read(0, this.#gone.signal);
    for (const [key, value] of Object.entries(chunk ?? {})) {
      this.#values.set(key, key === 'events' || key === 'spans' ? bytesOf(value) : value);
    }
    this.#values.set('t', this.#length);
    if (!ended) {
      this.#values.set('live', true);
      this.#follow();
    }
  }

  get(key: string): unknown {
    return this.#values.get(key);
  }

  set(key: string, value: unknown): void {
    this.#values.set(key, value);
  }

  // Nothing but this view holds its settings.
  save_changes(): void {}

  on(event: string, callback: Listener): void {
    const known = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, known.add(callback));
  }

  off(event: string, callback?: Listener): void {
    if (callback === undefined) {
      this.#listeners.delete(event);
    } else {
      this.#listeners.get(event)?.delete(callback);
    }
  }

  send(content: unknown): void {
    const message = content as Record<string, unknown>;
    if (message['kind'] === 'value') {
      void this.#fetch(String(message['id']), String(message['key']));
    } else if (message['kind'] === 'live' && message['on'] === true) {
      this.#follow();
    } else if (message['kind'] === 'live') {
      this.#following?.abort();
      this.#following = undefined;
    }
  }

  /** Asks for nothing any more, and takes back what is on its way. */
  dispose(): void {
    this.#gone.abort();
    this.#following?.abort();
    this.#listeners.clear();
  }

  async #read(wait: number, signal: AbortSignal): Promise<Told> {
    const query = { folder: this.#folder, after: this.#length, cursor: this.#cursor, wait };
    const told = (await this.#ask(`runs/${encodeURIComponent(this.#run)}/chunk`, { query, signal })) as unknown as Told;
    signal.throwIfAborted();
    this.#cursor = told.cursor;
    if (told.chunk !== null) {
      this.#length = Number(told.chunk['first'] ?? 0) + Math.floor(bytesOf(told.chunk['events']).byteLength / 16);
    }
    return told;
  }

  #follow(): void {
    if (this.#following === undefined) {
      this.#following = new AbortController();
      void this.#keepUp(this.#following);
    }
  }

  async #keepUp(mine: AbortController): Promise<void> {
    let pause = PAUSE_MS;
    while (!mine.signal.aborted) {
      try {
        const began = performance.now();
        const { chunk, ended } = await this.#read(HELD_SECONDS, mine.signal);
        this.#well();
        if (chunk !== null) {
          const { events, spans, ...rest } = chunk;
          this.#emit('msg:custom', { kind: 'chunk', ...rest }, [bytesOf(events), bytesOf(spans)]);
        }
        if (ended) {
          break;
        }
        // A server that cannot hold a request answers at once, every time.
        pause = chunk === null && performance.now() - began < PAUSE_MS ? PAUSE_MS : 0;
      } catch (error) {
        if (mine.signal.aborted || !this.#trouble(error)) {
          break;
        }
        pause = Math.min(Math.max(PAUSE_MS, pause * 2), LONGEST_PAUSE_MS);
      }
      await this.#pause(pause, mine.signal);
    }
    if (this.#following === mine) {
      this.#following = undefined;
    }
  }

  async #fetch(id: string, key: string): Promise<void> {
    try {
      const query = { folder: this.#folder, key };
      const path = `runs/${encodeURIComponent(this.#run)}/value`;
      const { json } = await this.#ask(path, { query, signal: this.#gone.signal });
      this.#emit('msg:custom', { kind: 'value', id, key, found: true, json }, []);
    } catch (error) {
      this.#emit('msg:custom', { kind: 'value', id, key, found: false, error: wordsOf(error) }, []);
    }
  }

  /** Says what is wrong; returns whether asking again can help. */
  #trouble(error: unknown): boolean {
    const passing = error instanceof Refusal && error.passing;
    const gone = error instanceof Refusal && error.status === 404;
    const text = passing ? 'The server does not answer; this view goes on when it does.'
      : gone ? 'The server does not have this run any more.' : wordsOf(error);
    if (!this.#troubled || !passing) {
      this.#troubled = true;
      this.#emit('msg:custom', { kind: 'note', text, level: 'warning' }, []);
    }
    return passing;
  }

  #well(): void {
    if (this.#troubled) {
      this.#troubled = false;
      this.#emit('msg:custom', { kind: 'note', text: '', level: 'info' }, []);
    }
  }

  #emit(event: string, ...given: unknown[]): void {
    [...(this.#listeners.get(event) ?? [])].forEach(listener => listener(...given));
  }
}

/** Returns the bytes of base64 text. */
export function bytesOf(text: unknown): DataView {
  const binary = atob(typeof text === 'string' ? text : '');
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) {
    bytes[index] = binary.charCodeAt(index);
  }
  return new DataView(bytes.buffer);
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
