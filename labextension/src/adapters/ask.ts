/** How a view asks its host's server: what comes back is JSON, or a refusal in words. */

export type Query = Readonly<Record<string, string | number>>;

export interface Options {
  query?: Query;
  method?: 'GET' | 'POST';
  signal?: AbortSignal;
}

export type Ask = (path: string, options?: Options) => Promise<Record<string, unknown>>;

/** The server said no, or nothing (`status` 0). */
export class Refusal extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status: number) {
    super(message);
    this.code = code;
    this.status = status;
  }

  /** Whether asking again can help. */
  get passing(): boolean {
    return this.status === 0 || this.status >= 500;
  }
}
