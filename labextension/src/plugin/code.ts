/** Python for cells: what a run's cell says, and whether a notebook has its `lab` already. */

export const CONNECT = 'import ironflow_lab as il\nlab = il.connect()';

const ASSIGNED = /(^|[\s,;(])lab\s*(:[^=\n]*)?(=(?!=)|,[^=\n()]*=(?!=))|\bas\s+lab\b/m;

/** Returns whether a cell's code gives `lab` a value; comments do not. */
export function assignsLab(source: string): boolean {
  return ASSIGNED.test(source.replace(/#.*$/gm, ''));
}

/** Returns code with a `lab` before it unless one of the notebook's cells has one. */
export function withLab(code: string, cells: readonly string[]): string {
  return cells.some(assignsLab) ? code : `${CONNECT}\n${code}`;
}

/** Returns the code that shows a run; the id is quoted as Python does. */
export function showRun(id: string): string {
  return `lab.run(${JSON.stringify(id)})`;
}
