/** Cells put into the current notebook, below the active one. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { type INotebookTracker, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';

import { withLab } from './code.ts';

/** Inserts a code cell below the active cell of the last used notebook; returns the notebook, or null without one. */
export function insertBelow(app: JupyterFrontEnd, tracker: INotebookTracker, code: string): NotebookPanel | null {
  const panel = tracker.currentWidget;
  const model = panel?.content.model;
  if (!panel || !model || model.readOnly) {
    return null;
  }
  const sources = Array.from(model.cells, cell => (cell.type === 'code' ? cell.sharedModel.getSource() : ''));
  NotebookActions.insertBelow(panel.content);
  panel.content.activeCell?.model.sharedModel.setSource(withLab(code, sources));
  // One that is in view stays as it is: the focus is with whoever asked.
  if (!panel.isVisible) {
    app.shell.activateById(panel.id);
  }
  return panel;
}

/** Inserts a code cell and runs it; returns whether there was a notebook to put it in. */
export async function insertAndRun(app: JupyterFrontEnd, tracker: INotebookTracker, code: string): Promise<boolean> {
  const panel = insertBelow(app, tracker, code);
  if (panel === null) {
    return false;
  }
  const cell = panel.content.activeCell;
  if (cell !== null) {
    await panel.content.scrollToCell(cell);
  }
  panel.content.deselectAll();
  await NotebookActions.run(panel.content, panel.sessionContext);
  return true;
}
