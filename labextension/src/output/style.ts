/** The style sheet of outputs: JupyterLab's variables only, so that both themes hold. */

const STYLE = `
.ifo { --ifo-faint: color-mix(in srgb, var(--jp-content-font-color1) 74%, transparent); color: var(--jp-content-font-color1);
  font: var(--jp-ui-font-size1)/1.45 var(--jp-ui-font-family); padding: 4px 0; max-width: 72em; }
.ifo [hidden] { display: none !important; }
.ifo :focus-visible { outline: 2px solid var(--jp-brand-color1); outline-offset: -2px; }
.ifo-run { border: 1px solid var(--jp-border-color2); border-radius: 4px; margin: 0 0 4px; overflow: hidden; }
.ifo-run > summary { display: flex; gap: 8px; align-items: baseline; padding: 3px 10px; cursor: pointer; list-style: none; background: var(--jp-layout-color2); }
.ifo-run > summary::-webkit-details-marker { display: none; }
.ifo-run > summary::before { content: "▸"; color: var(--ifo-faint); width: 0.9em; flex: none; }
.ifo-run[open] > summary::before { content: "▾"; }
.ifo-mark { font-weight: 700; flex: none; width: 1em; text-align: center; }
[data-tone="ok"] > summary > .ifo-mark { color: var(--jp-success-color1); } [data-tone="bad"] > summary > .ifo-mark { color: var(--jp-error-color1); }
[data-tone="busy"] > summary > .ifo-mark { color: var(--jp-info-color1); } [data-tone="wait"] > summary > .ifo-mark { color: var(--jp-warn-color1); }
.ifo-word { font-weight: 600; flex: none; }
.ifo-id { flex: none; font: var(--jp-code-font-size)/1.4 var(--jp-code-font-family); font-size: var(--jp-ui-font-size0); color: var(--ifo-faint); background: none; padding: 0; }
.ifo-last { flex: 1 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--ifo-faint); }
.ifo-run > summary > .ifo-last { font-family: var(--jp-code-font-family); font-size: var(--jp-ui-font-size0); text-align: right; }
.ifo-run[open] > summary > .ifo-last { visibility: hidden; }
.ifo-tools { display: flex; gap: 8px; align-items: baseline; padding: 3px 10px 0; justify-content: flex-end; }
.ifo-note { flex: 1 1 auto; margin: 0; color: var(--ifo-faint); font-size: var(--jp-ui-font-size0); }
.ifo-said { color: var(--ifo-faint); font-size: var(--jp-ui-font-size0); }
.ifo-button { font: inherit; font-size: var(--jp-ui-font-size0); color: var(--jp-content-font-color1); background: none; border: 1px solid var(--jp-border-color1);
  border-radius: 3px; padding: 0 8px; cursor: pointer; }
.ifo-button:hover { background: var(--jp-layout-color2); }
.ifo-lines { max-height: 18em; overflow: auto; padding: 2px 0 6px; font: var(--jp-code-font-size)/1.45 var(--jp-code-font-family); }
.ifo-line { display: grid; grid-template-columns: 9em minmax(0, 1fr); gap: 0 10px; padding: 0 10px; border-left: 3px solid transparent; }
.ifo-step { color: var(--ifo-faint); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; user-select: none; }
.ifo-lines[data-flat] > .ifo-line { grid-template-columns: minmax(0, 1fr); } .ifo-lines[data-flat] > .ifo-line > .ifo-step { display: none; }
.ifo-text { white-space: pre-wrap; overflow-wrap: anywhere; }
.ifo-tag { font-size: 0.85em; border: 1px solid currentColor; border-radius: 3px; padding: 0 4px; user-select: none; }
.ifo-line[data-weight="note"] { border-left-color: var(--jp-border-color1); } .ifo-line[data-weight="note"] .ifo-tag { color: var(--ifo-faint); }
.ifo-line[data-weight="warning"] { border-left-color: var(--jp-warn-color1); background: color-mix(in srgb, var(--jp-warn-color1) 9%, transparent); }
.ifo-line[data-weight="error"] { border-left-color: var(--jp-error-color1); background: color-mix(in srgb, var(--jp-error-color1) 9%, transparent); }
.ifo-line[data-weight="error"] .ifo-tag, .ifo-line[data-weight="warning"] .ifo-tag { font-weight: 700; }
.ifo-head { display: flex; gap: 10px; align-items: baseline; flex-wrap: wrap; }
.ifo-line-of-counts { color: var(--ifo-faint); }
.ifo-bar { display: flex; height: 8px; border-radius: 4px; overflow: hidden; margin: 5px 0; background: var(--jp-layout-color3); }
.ifo-bar > span { min-width: 2px; flex: 1 1 0; } .ifo-bar::after { content: ""; flex: var(--ifo-rest, 0) 1 0; }
.ifo-bar > [data-tone="ok"] { background: var(--jp-success-color1); } .ifo-bar > [data-tone="bad"] { background: var(--jp-error-color1); }
.ifo-bar > [data-tone="still"] { background: var(--jp-ui-font-color2); } .ifo-bar > [data-tone="busy"] { --ifo-stripe: var(--jp-info-color1); } .ifo-bar > [data-tone="wait"] { --ifo-stripe: var(--jp-warn-color1); }
.ifo-bar > [data-tone="busy"], .ifo-bar > [data-tone="wait"] { background: repeating-linear-gradient(-45deg, var(--ifo-stripe) 0 3px, transparent 3px 8px); }
.ifo-rows { list-style: none; margin: 4px 0; padding: 0; display: grid; grid-template-columns: max-content max-content max-content minmax(0, 1fr); gap: 2px 12px; }
.ifo-rows > li { display: contents; }
.ifo-badge { border: 1px solid var(--jp-border-color1); border-radius: 3px; padding: 0 6px; font-size: var(--jp-ui-font-size0); justify-self: start; align-self: center; }
[data-tone="ok"] > .ifo-badge { border-color: var(--jp-success-color1); } [data-tone="bad"] > .ifo-badge { border-color: var(--jp-error-color1); border-width: 2px; }
[data-tone="busy"] > .ifo-badge { border-color: var(--jp-info-color1); } [data-tone="wait"] > .ifo-badge { border-color: var(--jp-warn-color1); border-style: dashed; }
.ifo-link { font: var(--jp-code-font-size)/1.4 var(--jp-code-font-family); font-size: var(--jp-ui-font-size0); color: var(--jp-content-link-color); background: none; border: 0;
  padding: 0; cursor: pointer; text-align: left; text-decoration: underline; }
.ifo-function { font-weight: 600; }
`;

/** Adds the style sheet to the page, once. */
export function addStyle(): void {
  const id = 'ironflow-lab-output-style';
  if (document.getElementById(id) === null) {
    const sheet = document.createElement('style');
    sheet.id = id;
    sheet.textContent = STYLE;
    document.head.append(sheet);
  }
}
