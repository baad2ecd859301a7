/** What a screen reader is told, and whether motion is welcome. */

import { h } from './dom.ts';

const REST_MS = 250;

/** A polite live region that speaks once the cursor rests: not every event of a fast scrub. */
export class Announcer {
  readonly element = h('div', { class: 'ifl-quiet', role: 'status', 'aria-live': 'polite', 'aria-atomic': 'true' });
  #timer: ReturnType<typeof setTimeout> | undefined;

  say(text: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.element.textContent = text;
    }, REST_MS);
  }

  dispose(): void {
    clearTimeout(this.#timer);
  }
}

/** Returns whether the person asked their system for little motion. */
export function wantsCalm(): boolean {
  return window.matchMedia('(prefers-reduced-motion: reduce)').matches;
}
