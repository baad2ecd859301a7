/** The panel's style sheet: JupyterLab's variables only, so that both themes hold. */

const STYLE = `
.ifp { --ifp-faint: color-mix(in srgb, var(--jp-ui-font-color1) 74%, transparent); display: flex; flex-direction: column; height: 100%; color: var(--jp-ui-font-color1); background: var(--jp-layout-color1);
  font: var(--jp-ui-font-size1)/1.4 var(--jp-ui-font-family); overflow: hidden; }
.ifp [hidden] { display: none !important; }
.ifp-head { padding: 8px 12px; border-bottom: 1px solid var(--jp-border-color2); overflow-wrap: anywhere; }
.ifp-name { display: flex; gap: 8px; align-items: center; font-weight: 600; }
.ifp-dot { flex: none; width: 10px; height: 10px; border-radius: 50%; border: 2px solid var(--jp-ui-font-color2); }
.ifp-dot[data-state="found"] { background: var(--jp-success-color1); border-color: var(--jp-success-color1); }
.ifp-dot[data-state="gone"] { background: var(--jp-error-color1); border-color: var(--jp-error-color1); border-radius: 2px; }
.ifp-line, .ifp-message { color: var(--ifp-faint); font-size: var(--jp-ui-font-size0); margin: 2px 0 0; }
.ifp-message { font-size: var(--jp-ui-font-size1); margin: 6px 0; white-space: pre-line; }
.ifp-start { font: inherit; color: var(--jp-ui-inverse-font-color1); background: var(--jp-inverse-layout-color3); border: 0; border-radius: 3px;
  padding: 5px 12px; margin: 4px 0; cursor: pointer; }
.ifp-start:disabled { opacity: 0.6; cursor: default; }
.ifp-tools { display: flex; gap: 6px; padding: 8px 12px; border-bottom: 1px solid var(--jp-border-color2); }
.ifp-tools input, .ifp-tools select { font: inherit; color: var(--jp-ui-font-color1); background: var(--jp-layout-color1);
  border: 1px solid var(--jp-border-color1); border-radius: 3px; padding: 3px 6px; min-width: 0; }
.ifp-tools input { flex: 1 1 auto; } .ifp-tools select { flex: none; max-width: 9em; }
.ifp-tools input::placeholder { color: var(--ifp-faint); opacity: 1; }
.ifp-runs { flex: 1 1 auto; overflow-y: auto; margin: 0; padding: 0; list-style: none; }
.ifp-run { display: flex; border-bottom: 1px solid var(--jp-border-color3); }
.ifp-run:hover { background: var(--jp-layout-color2); }
.ifp button:focus-visible, .ifp input:focus-visible, .ifp select:focus-visible { outline: 2px solid var(--jp-brand-color1); outline-offset: -2px; }
.ifp-show, .ifp-open { font: inherit; color: inherit; background: none; border: 0; cursor: pointer; text-align: left; }
.ifp-show { flex: 1 1 auto; min-width: 0; padding: 6px 4px 6px 12px; display: grid; grid-template-columns: 1.4em minmax(0, 1fr) auto; gap: 0 4px; }
.ifp-show > span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ifp-open { flex: none; width: 34px; text-align: center; color: var(--ifp-faint); }
.ifp-open svg { width: 16px; vertical-align: middle; }
.ifp-mark { grid-row: 1 / 3; font-weight: 700; font-size: 15px; text-align: center; }
.ifp-run[data-tone="ok"] .ifp-mark { color: var(--jp-success-color1); } .ifp-run[data-tone="bad"] .ifp-mark { color: var(--jp-error-color1); }
.ifp-run[data-tone="busy"] .ifp-mark { color: var(--jp-info-color1); } .ifp-run[data-tone="wait"] .ifp-mark { color: var(--jp-warn-color1); }
.ifp-function { font-weight: 600; }
.ifp-id, .ifp-age, .ifp-status { color: var(--ifp-faint); font-size: var(--jp-ui-font-size0); }
.ifp-id { font-family: var(--jp-code-font-family); }
.ifp-age, .ifp-status { text-align: right; }
.ifp-empty { padding: 12px; color: var(--ifp-faint); }
.ifp-tab { overflow: auto; padding: 8px; background: var(--jp-layout-color1); color: var(--jp-ui-font-color1); }
.ifp-tab > .ifp-wait { padding: 16px; } .ifp-tab button { font: inherit; }
`;

/** Adds the style sheet to the page. */
export function addStyle(): void {
  const sheet = document.createElement('style');
  sheet.textContent = STYLE;
  document.head.append(sheet);
}
