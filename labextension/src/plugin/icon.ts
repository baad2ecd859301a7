/** The mark of the panel and of its tabs: lanes of steps with a cursor across them. */

import { LabIcon } from '@jupyterlab/ui-components';

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><g class="jp-icon3 jp-icon-selectable" fill="#616161">
<rect x="3" y="5" width="8" height="3" rx="1.5"/><rect x="7" y="10.5" width="9" height="3" rx="1.5"/>
<rect x="12" y="16" width="9" height="3" rx="1.5"/><rect x="13.25" y="2" width="1.5" height="20"/></g></svg>`;

export const icon = new LabIcon({ name: 'ironflow-lab:runs', svgstr: SVG });
