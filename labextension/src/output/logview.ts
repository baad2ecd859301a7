/** The log under a cell: a group for each run, which stays as the reader left it while lines come. */

import { h, keep, setAttribute, setText } from '../scrub/dom.ts';
import { markOf } from '../plugin/words.ts';
import { page } from './host.ts';
import { changeOf, droppedNote, keyOf, lastLine, type Line, type Log, type RunLog, textOf, timeOf, titleOf, weightOf } from './log.ts';

// As many are open at first: of more, the line each ends with is worth more.
const OPEN_AT_FIRST = 2;
const NEAR_END = 8;

export class LogView {
  readonly element = h('div', { class: 'ifo ifo-log', role: 'region', 'data-lm-suppress-shortcuts': 'true' });
  readonly #groups = new Map<string, Group>();
  readonly #hidden = h('p', { class: 'ifo-note' });

  constructor() {
    this.element.append(this.#hidden);
  }

  /** Shows a log in place of the one before. */
  show(log: Log): void {
    setAttribute(this.element, 'aria-label', `Output of ${log.function || 'a function'}`);
    const wanted = new Set(log.runs.map(run => run.id));
    for (const [id, group] of this.#groups) {
      if (!wanted.has(id)) {
        group.element.remove();
        this.#groups.delete(id);
      }
    }
    const few = log.runs.length <= OPEN_AT_FIRST;
    // A run that is shown keeps its place, whichever writes last: a moved element forgets where it was read.
    for (const run of log.runs) {
      const group = this.#groups.get(run.id) ?? new Group(run, few);
      if (!this.#groups.has(run.id)) {
        this.#groups.set(run.id, group);
        this.element.insertBefore(group.element, this.#hidden);
      }
      group.show(run);
    }
    setText(this.#hidden, log.hidden > 0 ? `${log.hidden.toLocaleString('en-US')} more runs printed here; see lab.runs()` : '');
    this.#hidden.hidden = log.hidden <= 0;
  }

  /** Goes back to the ends of the logs that are followed: an element that was out of the page forgets where it was. */
  settle(): void {
    this.#groups.forEach(group => group.settle());
  }
}

class Group {
  readonly #mark = h('span', { class: 'ifo-mark', 'aria-hidden': 'true' });
  readonly #word = h('span', { class: 'ifo-word' });
  readonly #id = h('code', { class: 'ifo-id' });
  readonly #last = h('span', { class: 'ifo-last' });
  readonly #summary = h('summary', {}, this.#mark, this.#word, this.#id, this.#last);
  readonly #open = h('button', { class: 'ifo-button', type: 'button' }, 'Time travel');
  readonly #copy = h('button', { class: 'ifo-button', type: 'button' }, 'Copy');
  readonly #said = h('span', { class: 'ifo-said', role: 'status' });
  readonly #note = h('p', { class: 'ifo-note' });
  readonly #lines = h('div', { class: 'ifo-lines', role: 'log', 'aria-live': 'off', tabindex: 0 });
  readonly #tools = h('div', { class: 'ifo-tools' }, this.#note, this.#said, this.#open, this.#copy);
  readonly element = h('details', { class: 'ifo-run' }, this.#summary, this.#tools, this.#lines);
  readonly #shown: HTMLElement[] = [];
  #keys: string[] = [];
  #run: RunLog | undefined;
  #follows = true;
  #chosen = false;

  constructor(run: RunLog, open: boolean) {
    const { id } = run;
    setAttribute(this.element, 'data-run', id);
    const title = titleOf(run);
    setText(this.#id, title);
    setAttribute(this.#lines, 'aria-label', `Output, ${title}`);
    setAttribute(this.#copy, 'aria-label', `Copy the output, ${title}`);
    setAttribute(this.#open, 'aria-label', `Open ${id} in time travel`);
    this.element.open = open;
    this.#summary.addEventListener('click', () => { this.#chosen = true; });
    this.element.addEventListener('toggle', () => this.settle());
    this.#lines.addEventListener('scroll', () => {
      const { scrollTop, clientHeight, scrollHeight } = this.#lines;
      // One that is out of the page has no height: that is not the reader's doing.
      this.#follows = clientHeight === 0 ? this.#follows : scrollTop + clientHeight >= scrollHeight - NEAR_END;
    });
    this.#copy.addEventListener('click', () => void this.#copied());
    this.#open.addEventListener('click', () => page.host?.open(id, page.host.folderOf(this.element)));
  }

  show(run: RunLog): void {
    this.#run = run;
    const [mark, word, tone] = markOf(run.state);
    setAttribute(this.element, 'data-state', run.state);
    setAttribute(this.element, 'data-tone', tone);
    setText(this.#mark, mark);
    setText(this.#word, run.attempt > 1 ? `${word}, attempt ${run.attempt}` : word);
    setText(this.#last, lastLine(run));
    setText(this.#note, droppedNote(run));
    this.#note.hidden = run.dropped === 0;
    this.#open.hidden = page.host === undefined || run.id === '';
    if (tone === 'bad' && !this.#chosen) {
      this.element.open = true;
    }
    this.#draw(run.lines);
    this.settle();
  }

  settle(): void {
    if (this.#follows && this.element.open && this.#lines.isConnected) {
      this.#lines.scrollTop = this.#lines.scrollHeight;
    }
  }

  #draw(lines: readonly Line[]): void {
    const keys = lines.map(keyOf);
    const { drop, keep: kept } = changeOf(this.#keys, keys);
    this.#shown.splice(0, drop).forEach(line => line.remove());
    keep(this.#lines, this.#shown, Math.min(kept, this.#shown.length), () => h('div'));
    for (const line of lines.slice(kept)) {
      this.#shown.push(this.#lines.appendChild(lineOf(line)));
    }
    this.#keys = keys;
    setAttribute(this.#lines, 'data-flat', lines.every(line => line.step === '' && line.attempt === 1));
  }

  async #copied(): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.#run === undefined ? '' : textOf(this.#run));
      setText(this.#said, 'Copied');
    } catch {
      // Not every page may write there: what is selected can be copied by hand.
      getSelection()?.selectAllChildren(this.#lines);
      setText(this.#said, 'Selected: press Ctrl+C');
    }
  }
}

function lineOf(line: Line): HTMLElement {
  const [weight, word] = weightOf(line);
  const about = [timeOf(line.at), line.step, line.attempt > 1 ? `attempt ${line.attempt}` : ''].filter(Boolean).join(' · ');
  const where = h('span', { class: 'ifo-step' }, line.attempt > 1 ? `${line.step || 'run'} (${line.attempt})` : line.step);
  const text = h('span', { class: 'ifo-text' });
  if (word !== '') {
    text.append(h('span', { class: 'ifo-tag' }, word), ' ');
  }
  text.append(line.text);
  return h('div', { class: 'ifo-line', 'data-weight': weight, 'data-stream': line.stream, title: about }, where, text);
}
