/** How far an emission has come, kept current by its kernel, and by the server when there is no kernel any more. */

import { type Ask, Refusal } from '../adapters/ask.ts';
import { markOf } from '../plugin/words.ts';
import { h, keep, setAttribute, setText } from '../scrub/dom.ts';
import { page } from './host.ts';
import { fieldsOf, listOf, nameOf, timeOf } from './log.ts';
import { done, lineOf, ordered, type Progress, type Row, Told } from './progress.ts';

const AT_ONCE = 50;
// What the kernel said less than this long ago is as good as what the server would say.
const FRESH_MS = 900;
// A run may sleep for days: who looks on gets a second's delay for each ten seconds of nothing.
const SLOWEST = 10;

export class ProgressView {
  readonly element = h('div', { class: 'ifo ifo-progress', role: 'region', 'data-lm-suppress-shortcuts': 'true' });
  readonly #event = h('strong', { class: 'ifo-event' });
  readonly #line = h('span', { class: 'ifo-line-of-counts' });
  readonly #bar = h('div', { class: 'ifo-bar', role: 'progressbar', 'aria-valuemin': 0 });
  readonly #rows = h('ul', { class: 'ifo-rows', 'aria-label': 'Runs' });
  readonly #note = h('p', { class: 'ifo-note' });
  readonly #parts: HTMLElement[] = [];
  readonly #lines: RowLine[] = [];
  readonly #ask: Ask;
  #told = new Told();
  #given: Progress | undefined;
  #shown: Progress | undefined;
  #heardAt = -Infinity;
  #quiet = 0;
  #skip = 0;

  constructor(ask: Ask) {
    this.#ask = ask;
    this.element.append(h('div', { class: 'ifo-head' }, this.#event, this.#line), this.#bar, this.#rows, this.#note);
  }

  /** Whether there is anything left to ask for. */
  get moving(): boolean {
    return this.#shown !== undefined && !this.#shown.settled && this.#shown.runs.length > 0;
  }

  /** Shows what a kernel says. */
  show(progress: Progress): void {
    this.#given = progress;
    this.#told = new Told();
    this.#heardAt = performance.now();
    this.#quiet = 0;
    this.#skip = 0;
    this.#draw(progress);
    this.#say(progress.note);
  }

  /** Asks the server how the runs stand, unless the kernel has just said so. */
  async look(signal: AbortSignal): Promise<void> {
    const given = this.#given;
    if (given === undefined || !this.moving || performance.now() - this.#heardAt < FRESH_MS) {
      return;
    }
    if (this.#skip > 0) {
      this.#skip -= 1;
      return;
    }
    const told = this.#told;
    try {
      for (const ids of told.wanted(given, AT_ONCE)) {
        const query = { folder: page.host?.folderOf(this.element) ?? '', server: given.server, runs: ids.join(',') };
        const { runs, unknown } = await this.#ask('statuses', { query, signal });
        told.take(listOf(runs).map(rowOf));
        told.take(listOf(unknown).map(id => ({ id: nameOf(id), function: '', status: 'deleted', note: '' })));
      }
      if (told === this.#told) {
        this.#heard(told.count(given, Date.now()));
      }
    } catch (error) {
      if (!signal.aborted) {
        this.#missed(error);
      }
    }
  }

  #heard(progress: Progress): void {
    const news = JSON.stringify([...progress.counts, progress.rows]) !== JSON.stringify([...(this.#shown?.counts ?? []), this.#shown?.rows]);
    this.#quiet = news ? 0 : this.#quiet + 1;
    this.#skip = Math.min(Math.floor(this.#quiet / SLOWEST), SLOWEST);
    this.#draw(progress);
    this.#say('');
    if (!progress.settled && progress.counts.has('unknown') && progress.runs.length < progress.total) {
      this.#say('of the others the kernel knows: run the cell that shows them again');
    }
  }

  #missed(error: unknown): void {
    const at = timeOf(this.#shown?.at ?? 0).slice(0, -4);
    const other = error instanceof Refusal && error.status === 409;
    const why = other ? 'Jupyter reaches another server from here' : error instanceof Error ? error.message : '';
    this.#say([at ? `as of ${at}` : 'as it was last heard', why].filter(Boolean).join(': '));
    // A refusal stays one; a server that is away may come back.
    this.#skip = error instanceof Refusal && error.passing ? 0 : SLOWEST;
  }

  #say(text: string): void {
    setText(this.#note, text);
    this.#note.hidden = text === '';
  }

  #draw(progress: Progress): void {
    this.#shown = progress;
    const counted = ordered(progress.counts);
    const line = lineOf(progress);
    setAttribute(this.element, 'aria-label', `Progress of ${progress.event || 'runs'}`);
    setAttribute(this.element, 'data-settled', progress.settled ? 'yes' : 'no');
    setText(this.#event, progress.event);
    setText(this.#line, line);
    this.#bar.hidden = progress.total <= 1;
    setAttribute(this.#bar, 'aria-valuemax', Math.max(1, progress.total));
    setAttribute(this.#bar, 'aria-valuenow', Math.min(done(progress), Math.max(1, progress.total)));
    setAttribute(this.#bar, 'aria-valuetext', line);
    setAttribute(this.#bar, 'aria-label', `Runs of ${progress.event} that have ended`);
    const parts = counted.filter(([status]) => status !== 'unknown');
    keep(this.#bar, this.#parts, parts.length, () => h('span')).forEach((part, index) => {
      const [status, count] = parts[index] ?? ['', 0];
      setAttribute(part, 'data-tone', markOf(status)[2]);
      part.style.flexGrow = String(count);
      setAttribute(part, 'title', `${count} ${markOf(status)[1]}`);
    });
    this.#fill(progress);
    this.#rows.hidden = progress.rows.length === 0;
    while (this.#lines.length < progress.rows.length) {
      const made = new RowLine();
      this.#lines.push(made);
      this.#rows.append(made.element);
    }
    this.#lines.splice(progress.rows.length).forEach(gone => gone.element.remove());
    progress.rows.forEach((row, index) => this.#lines[index]?.show(row));
  }

  /** The part of the bar that nothing fills yet. */
  #fill(progress: Progress): void {
    const known = [...progress.counts].reduce((sum, [status, count]) => sum + (status === 'unknown' ? 0 : count), 0);
    this.#bar.style.setProperty('--ifo-rest', String(Math.max(0, progress.total - known)));
  }
}

/** One run; the element stays the same while its status changes, so that focus keeps its place. */
class RowLine {
  readonly #badge = h('span', { class: 'ifo-badge' });
  readonly #id = h('button', { class: 'ifo-link', type: 'button' });
  readonly #function = h('span', { class: 'ifo-function' });
  readonly #note = h('span', { class: 'ifo-last' });
  readonly element = h('li', {}, this.#badge, this.#id, this.#function, this.#note);
  #run = '';

  constructor() {
    this.#id.addEventListener('click', () => page.host?.open(this.#run, page.host.folderOf(this.element)));
  }

  show(row: Row): void {
    this.#run = row.id;
    const [mark, word, tone] = markOf(row.status);
    setAttribute(this.element, 'data-run', row.id);
    setAttribute(this.element, 'data-tone', tone);
    setText(this.#badge, `${mark} ${word}`);
    setText(this.#id, row.id);
    setAttribute(this.#id, 'title', 'Open in time travel');
    this.#id.disabled = page.host === undefined;
    setText(this.#function, row.function);
    setText(this.#note, row.note);
  }
}

function rowOf(data: unknown): Row {
  const given = fieldsOf(data);
  const attempt = Number(given['attempt'] ?? 1);
  const note = nameOf(given['error']) || (attempt > 1 ? `attempt ${attempt}` : '');
  return { id: nameOf(given['id']), function: nameOf(given['function_id']), status: nameOf(given['status']), note };
}
