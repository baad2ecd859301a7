/** The JupyterLab plugin: panel, tabs, commands, and cells for whoever asks for one; it only wires. */

import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, InputDialog, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { INotebookTracker } from '@jupyterlab/notebook';

import { INSERT } from '../scrub/insert.ts';
import { page } from '../output/host.ts';
import { insertAndRun, insertBelow } from './cells.ts';
import { showRun } from './code.ts';
import { icon } from './icon.ts';
import { Panel } from './panel.ts';
import { ask } from './requests.ts';
import { addStyle } from './style.ts';
import { RunTab } from './tab.ts';

const CATEGORY = 'Ironflow';
const ROW = '.ifp-run';
const PANEL = 'ironflow-lab:show-panel';
const OPEN = 'ironflow-lab:open-run';
const SHOW = 'ironflow-lab:show-run';
const START = 'ironflow-lab:start-server';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'ironflow-lab:plugin',
  description: 'Runs of an Ironflow server beside the notebook, and time travel through them.',
  autoStart: true,
  optional: [INotebookTracker, ICommandPalette, ILayoutRestorer],
  activate
};

export default [plugin];

function activate(
  app: JupyterFrontEnd, notebooks: INotebookTracker | null, palette: ICommandPalette | null, restorer: ILayoutRestorer | null
): void {
  addStyle();
  const folder = (): string => {
    const path = notebooks?.currentWidget?.context.localPath ?? '';
    return PathExt.dirname(path);
  };
  const panel = new Panel(ask, folder, {
    show: id => void app.commands.execute(SHOW, { run: id }),
    open: id => void app.commands.execute(OPEN, { run: id, folder: folder() })
  });
  app.shell.add(panel, 'left', { rank: 900, type: 'Ironflow' });
  notebooks?.currentChanged.connect(() => panel.refresh());
  page.host = {
    open: (run, place) => void app.commands.execute(OPEN, { run, folder: place }),
    folderOf: element => {
      const around = notebooks?.find(one => one.node.contains(element));
      return around ? PathExt.dirname(around.context.localPath) : folder();
    }
  };
  addCommands(app, panel, notebooks);
  addTabs(app, folder, restorer);
  for (const command of [PANEL, OPEN, START]) {
    palette?.addItem({ command, category: CATEGORY });
  }
  app.contextMenu.addItem({ command: SHOW, selector: ROW, rank: 0 });
  app.contextMenu.addItem({ command: OPEN, selector: ROW, rank: 1 });
  restorer?.add(panel, panel.id);
  if (notebooks !== null) {
    hear(app, notebooks);
  }
}

function addCommands(app: JupyterFrontEnd, panel: Panel, notebooks: INotebookTracker | null): void {
  app.commands.addCommand(PANEL, {
    label: 'Show Ironflow Runs',
    icon,
    execute: () => app.shell.activateById(panel.id)
  });
  app.commands.addCommand(START, {
    label: 'Start Embedded Ironflow Server',
    execute: () => {
      app.shell.activateById(panel.id);
      return panel.start();
    }
  });
  app.commands.addCommand(SHOW, {
    label: 'Show Run in a Cell',
    execute: async args => {
      const run = runOf(app, args['run']);
      if (run === '') {
        return;
      }
      const shown = notebooks !== null && (await insertAndRun(app, notebooks, showRun(run)));
      if (!shown) {
        await app.commands.execute(OPEN, { run });
      }
    }
  });
}

function addTabs(app: JupyterFrontEnd, folder: () => string, restorer: ILayoutRestorer | null): void {
  const tabs = new WidgetTracker<MainAreaWidget<RunTab>>({ namespace: 'ironflow-lab-runs' });
  app.commands.addCommand(OPEN, {
    label: 'Open Run in Time Travel',
    icon,
    execute: async args => {
      const run = runOf(app, args['run']) || (await askForRun());
      if (run === '') {
        return;
      }
      const place = typeof args['folder'] === 'string' ? args['folder'] : folder();
      let tab = tabs.find(one => one.content.run === run && one.content.folder === place);
      if (tab === undefined) {
        tab = new MainAreaWidget({ content: new RunTab(run, place, ask) });
        tab.id = `ironflow-lab-run-${place}-${run}`;
        tab.title.closable = true;
        app.shell.add(tab, 'main');
        await tabs.add(tab);
      }
      app.shell.activateById(tab.id);
    }
  });
  void restorer?.restore(tabs, {
    command: OPEN,
    args: tab => ({ run: tab.content.run, folder: tab.content.folder }),
    name: tab => `${tab.content.folder}:${tab.content.run}`
  });
}

/** Inserts the cells that views ask for; a view in a notebook gets them there, one in a tab in the last notebook. */
function hear(app: JupyterFrontEnd, notebooks: INotebookTracker): void {
  document.addEventListener(INSERT, event => {
    const { code } = (event as CustomEvent<{ code: string }>).detail;
    if (insertBelow(app, notebooks, code) !== null) {
      event.preventDefault();
    }
  });
}

/** Returns the run that is meant: by name, or by the row under the context menu. */
function runOf(app: JupyterFrontEnd, named: unknown): string {
  if (typeof named === 'string') {
    return named;
  }
  return app.contextMenuHitTest(node => node.dataset['run'] !== undefined)?.dataset['run'] ?? '';
}

async function askForRun(): Promise<string> {
  const answer = await InputDialog.getText({ title: 'Open a run in time travel', label: 'Run id', placeholder: 'run_…' });
  return answer.value?.trim() ?? '';
}
