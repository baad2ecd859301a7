/** The Python that shows in a cell what the view shows, and how it gets there. */

export const INSERT = 'ironflow-lab:insert-cell';

/** Returns Python for the state at a position, or for the difference of two pins. */
export function codeOf(runId: string, position: number, pins: readonly [number, number] | undefined): string {
  const run = `run = lab.run(${JSON.stringify(runId)})`;
  return pins === undefined ? `${run}\nrun.at(event=${position})` : `${run}\nrun.diff(${pins[0]}, ${pins[1]})`;
}

/** Asks the page to insert a cell; returns whether anybody did. */
export function insertCell(from: HTMLElement, code: string): boolean {
  const asked = new CustomEvent(INSERT, { detail: { code }, bubbles: true, composed: true, cancelable: true });
  return !from.dispatchEvent(asked);
}
