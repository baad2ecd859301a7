/** Does something again and again while somebody looks: not while the page or the panel is hidden. */

export type Work = (signal: AbortSignal) => Promise<void>;

export class Poller {
  readonly #work: Work;
  readonly #every: number;
  #current: AbortController | undefined;
  #shown = false;

  constructor(work: Work, every: number) {
    this.#work = work;
    this.#every = every;
    document.addEventListener('visibilitychange', this.#turn);
  }

  /** Begins or ends, as the panel is shown or hidden. */
  show(shown: boolean): void {
    this.#shown = shown;
    this.#turn();
  }

  /** Looks at once; what is on its way is given up. */
  now(): void {
    this.#current?.abort();
    this.#current = undefined;
    this.#turn();
  }

  dispose(): void {
    document.removeEventListener('visibilitychange', this.#turn);
    this.show(false);
  }

  readonly #turn = (): void => {
    const wanted = this.#shown && !document.hidden;
    if (!wanted) {
      this.#current?.abort();
      this.#current = undefined;
    } else if (this.#current === undefined) {
      this.#current = new AbortController();
      void this.#repeat(this.#current.signal);
    }
  };

  async #repeat(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#work(signal);
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, this.#every);
        signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
      });
    }
  }
}
