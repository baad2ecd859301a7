/** The side panel: which server answers, and its newest runs, kept current while it is looked at. */

import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { type Ask, Refusal } from '../adapters/ask.ts';
import { h, setAttribute, setText } from '../scrub/dom.ts';
import { icon } from './icon.ts';
import { Poller } from './poller.ts';
import { RunList } from './runlist.ts';
import { matches, type RunLine, serverLine, STATUSES, type Status, markOf } from './words.ts';

const EVERY_MS = 2_000;
const SHOWN = 100;

export interface Actions {
  /** Shows a run in a cell. */
  show(id: string): void;
  /** Opens a run in a tab. */
  open(id: string): void;
}

export class Panel extends Widget {
  readonly #ask: Ask;
  readonly #folder: () => string;
  readonly #poller: Poller;
  readonly #list: RunList;
  readonly #dot = h('span', { class: 'ifp-dot', 'aria-hidden': 'true' });
  readonly #name = h('span');
  readonly #line = h('p', { class: 'ifp-line' });
  readonly #message = h('p', { class: 'ifp-message' });
  readonly #start = h('button', { class: 'ifp-start', type: 'button' }, 'Start embedded server');
  readonly #typed = h('input', { type: 'search', placeholder: 'Filter runs', 'aria-label': 'Filter runs' });
  readonly #status = h('select', { 'aria-label': 'Status of the runs' }, h('option', { value: '' }, 'any status'));
  readonly #tools = h('div', { class: 'ifp-tools' }, this.#typed, this.#status);
  readonly #empty = h('p', { class: 'ifp-empty' });
  #runs: RunLine[] = [];
  // The folders in which a server was seen: there it is gone, elsewhere there is none.
  readonly #seen = new Set<string>();
  #starting = false;

  constructor(ask: Ask, folder: () => string, actions: Actions) {
    super();
    this.#ask = ask;
    this.#folder = folder;
    this.#list = new RunList(actions);
    this.#poller = new Poller(signal => this.#look(signal), EVERY_MS);
    this.id = 'ironflow-lab-panel';
    this.title.icon = icon;
    this.title.caption = 'Ironflow runs';
    this.#build();
  }

  /** Looks at once, as when another notebook came to the front. */
  refresh(): void {
    this.#starting &&= this.#start.disabled;
    this.#poller.now();
  }

  /** Starts the embedded server of the folder. */
  async start(): Promise<void> {
    this.#starting = true;
    this.#start.disabled = true;
    this.#say('starting', 'Starting the server …', '', '');
    try {
      await this.#ask('start', { method: 'POST', query: { folder: this.#folder() } });
      this.#starting = false;
      this.refresh();
    } catch (error) {
      this.#say('none', 'The server did not start', '', wordsOf(error));
    } finally {
      this.#start.disabled = false;
    }
  }

  override dispose(): void {
    this.#poller.dispose();
    super.dispose();
  }

  protected override onAfterShow(_message: Message): void {
    this.#poller.show(true);
  }

  protected override onAfterAttach(_message: Message): void {
    this.#poller.show(this.isVisible);
  }

  protected override onBeforeHide(_message: Message): void {
    this.#poller.show(false);
  }

  protected override onBeforeDetach(_message: Message): void {
    this.#poller.show(false);
  }

  #build(): void {
    this.#status.append(...STATUSES.map(status => h('option', { value: status }, markOf(status)[1])));
    const name = h('div', { class: 'ifp-name', role: 'status' }, this.#dot, this.#name);
    const head = h('div', { class: 'ifp-head' }, name, this.#line, this.#message, this.#start);
    setAttribute(this.node, 'role', 'region');
    setAttribute(this.node, 'aria-label', 'Ironflow runs');
    this.node.classList.add('ifp');
    this.node.append(head, this.#tools, this.#empty, this.#list.element);
    this.#start.addEventListener('click', () => void this.start());
    this.#typed.addEventListener('input', () => this.#draw());
    this.#status.addEventListener('change', () => this.refresh());
    this.#say('looking', 'Looking for a server …', '', '');
    this.#offer(false);
  }

  async #look(signal: AbortSignal): Promise<void> {
    const folder = this.#folder();
    try {
      const status = (await this.#ask('status', { query: { folder }, signal })) as unknown as Status;
      if (!status.found) {
        this.#missing(status, this.#seen.has(folder));
        return;
      }
      const query = { folder, limit: SHOWN, status: this.#status.value };
      const { runs } = await this.#ask('runs', { query, signal });
      this.#seen.add(folder);
      this.#found(status, runs as RunLine[]);
    } catch (error) {
      if (!signal.aborted) {
        this.#troubled(error);
      }
    }
  }

  #found(status: Status, runs: RunLine[]): void {
    this.#starting = false;
    this.#runs = runs;
    this.#say('found', 'Connected', serverLine(status), '');
    this.#offer(false);
    this.#tools.hidden = false;
    this.#draw();
  }

  #missing(status: Status, gone: boolean): void {
    if (this.#starting) {
      return;
    }
    const text = !status.startable ? status.message
      : gone ? 'It may be on its way back: this panel keeps looking.'
      : 'No Ironflow server answers for this folder. The embedded one keeps its data in .ironflow here.';
    this.#say(gone ? 'gone' : 'none', gone ? 'The server is gone' : 'No server', status.url, text);
    this.#offer(status.startable);
    this.#clear();
  }

  #troubled(error: unknown): void {
    const away = error instanceof Refusal && error.status === 0;
    this.#say('gone', away ? 'Jupyter does not answer' : 'The server does not answer', '', wordsOf(error));
    this.#offer(false);
    this.#clear();
  }

  #clear(): void {
    this.#runs = [];
    this.#tools.hidden = true;
    this.#empty.hidden = true;
    this.#list.show([], Date.now());
  }

  #draw(): void {
    const found = this.#runs.filter(run => matches(run, this.#typed.value.trim()));
    const none = this.#status.value ? 'No run has this status.' : 'No runs yet: emit an event, or run the tour.';
    setText(this.#empty, this.#runs.length === 0 ? none : 'No run fits the filter.');
    this.#empty.hidden = found.length > 0;
    this.#list.show(found, Date.now());
  }

  #say(state: string, name: string, line: string, message: string): void {
    setAttribute(this.node, 'data-state', state);
    setAttribute(this.#dot, 'data-state', state);
    setText(this.#name, name);
    setText(this.#line, line);
    setText(this.#message, message);
    this.#line.hidden = line === '';
    this.#message.hidden = message === '';
  }

  #offer(start: boolean): void {
    this.#start.hidden = !start;
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
