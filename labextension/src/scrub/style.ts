/** The view's style sheet: the page's theme through JupyterLab's variables,
  with colours of its own where there is none. */

const LIGHT = `
  --ifl-own-back: #ffffff; --ifl-own-text: #1f2328; --ifl-own-faint: #59636e; --ifl-own-line: #d8dde3;
  --ifl-own-hover: #eef1f4;
  --ifl-exec: #2463c4; --ifl-failed: #c0271d; --ifl-queue: #6a7380; --ifl-retry: #a35200; --ifl-sleep: #6c54c9;
  --ifl-wait: #0b7468; --ifl-paused: #a3268f; --ifl-cursor: #d9480f; --ifl-pin: #7a3fb5; --ifl-ok: #1a7438;
  --ifl-added: #dcf3e1; --ifl-changed: #fff0c7; --ifl-key: #7a3d00; --ifl-text-value: #0b5c2e;
  --ifl-number: #1750a8;`;
const DARK = `
  --ifl-own-back: #16181c; --ifl-own-text: #e6e8eb; --ifl-own-faint: #a4acb6; --ifl-own-line: #373c44;
  --ifl-own-hover: #262a30;
  --ifl-exec: #62a0ff; --ifl-failed: #ff7a70; --ifl-queue: #a4acb6; --ifl-retry: #eda84e; --ifl-sleep: #b3a2ff;
  --ifl-wait: #45cfbd; --ifl-paused: #f08ee0; --ifl-cursor: #ff8f52; --ifl-pin: #cb9bff; --ifl-ok: #5fce83;
  --ifl-added: #143d24; --ifl-changed: #4a3a08; --ifl-key: #ffbd7d; --ifl-text-value: #8fdca8;
  --ifl-number: #9cc4ff;`;

export const STYLE = `
.ifl-scrub {${LIGHT}
  --ifl-back: var(--jp-layout-color1, var(--ifl-own-back)); --ifl-text: var(--jp-ui-font-color1, var(--ifl-own-text));
  --ifl-faint: var(--ifl-own-faint); --ifl-line: var(--jp-border-color2, var(--ifl-own-line));
  --ifl-hover: var(--jp-layout-color2, var(--ifl-own-hover));
  --ifl-mono: var(--jp-code-font-family, ui-monospace, Menlo, Consolas, monospace);
  box-sizing: border-box; container-type: inline-size; position: relative; background: var(--ifl-back);
  color: var(--ifl-text);
  border: 1px solid var(--ifl-line); border-radius: 6px; padding: 10px 12px 12px; margin: 2px;
  font: 13px/1.45 var(--jp-ui-font-family, system-ui, -apple-system, "Segoe UI", sans-serif);
}
@media (prefers-color-scheme: dark) { body:not([data-jp-theme-light]):not(.vscode-light) .ifl-scrub {${DARK}} }
body[data-jp-theme-light="false"] .ifl-scrub, body.vscode-dark .ifl-scrub, html[theme="dark"] .ifl-scrub {${DARK}}
.ifl-scrub *, .ifl-scrub *::before { box-sizing: border-box; }
.ifl-scrub [hidden] { display: none !important; }
.ifl-probe { position: absolute; width: 0; height: 0; background-color: var(--ifl-back); color: var(--ifl-exec);
  transition: background-color 1ms, color 1ms; }
.ifl-quiet { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.ifl-head { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 10px; margin-bottom: 8px; }
.ifl-head strong { font-size: 15px; overflow-wrap: anywhere; }
.ifl-head code, .ifl-code { font-family: var(--ifl-mono); font-size: 12px; background: none;
  color: var(--ifl-faint); overflow-wrap: anywhere; }
.ifl-chip { border: 1px solid currentColor; border-radius: 9px; padding: 0 8px; font-size: 12px; font-weight: 600;
  white-space: nowrap; }
.ifl-chip[data-tone="ok"] { color: var(--ifl-ok); } .ifl-chip[data-tone="bad"] { color: var(--ifl-failed); }
.ifl-chip[data-tone="wait"] { color: var(--ifl-retry); } .ifl-chip[data-tone="busy"] { color: var(--ifl-exec); }
.ifl-note { color: var(--ifl-retry); flex-basis: 100%; overflow-wrap: anywhere; }
.ifl-bar { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: center; margin-bottom: 6px; }
.ifl-group { display: inline-flex; gap: 3px; align-items: center; }
.ifl-scrub button, .ifl-scrub select {
  font: inherit; color: var(--ifl-text); background: var(--ifl-back); border: 1px solid var(--ifl-line);
  border-radius: 4px;
  min-height: 26px; min-width: 28px; padding: 1px 8px; cursor: pointer; line-height: 1.3;
}
.ifl-scrub button:hover:not(:disabled), .ifl-scrub select:hover { background: var(--ifl-hover); }
.ifl-scrub button:disabled { color: var(--ifl-faint); cursor: default; border-style: dashed; }
.ifl-scrub button[aria-pressed="true"] { border-color: var(--ifl-exec);
  box-shadow: inset 0 0 0 1px var(--ifl-exec); font-weight: 600; }
.ifl-scrub button svg { display: block; fill: currentColor; }
.ifl-scrub .ifl-icon { display: inline-flex; justify-content: center; align-items: center; }
  .ifl-scrub .ifl-play { min-width: 40px; }
.ifl-scrub .ifl-live[aria-pressed="true"]::before { content: ""; display: inline-block; width: 8px; height: 8px;
  border-radius: 50%; background: var(--ifl-failed); margin-right: 5px; }
.ifl-scrub :focus-visible { outline: 2px solid var(--ifl-cursor); outline-offset: 1px; }
.ifl-now { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: baseline; min-height: 22px; margin: 4px 0;
  font-variant-numeric: tabular-nums; }
.ifl-now b { font-weight: 600; overflow-wrap: anywhere; } .ifl-now span { color: var(--ifl-faint);
  white-space: nowrap; }
.ifl-stage { border: 1px solid var(--ifl-line); border-radius: 4px; overflow: hidden; }
.ifl-row { display: grid; grid-template-columns: var(--ifl-names, 180px) minmax(0, 1fr); }
.ifl-corner { display: flex; align-items: end; padding: 0 8px 3px; color: var(--ifl-faint); font-size: 12px;
  border-right: 1px solid var(--ifl-line); }
.ifl-track { position: relative; cursor: pointer; touch-action: none; height: 50px; }
.ifl-track:focus-visible { outline-offset: -2px; }
.ifl-canvas { display: block; }
.ifl-lanes { position: relative; overflow-y: auto; overflow-x: hidden; border-top: 1px solid var(--ifl-line); }
.ifl-window { position: sticky; top: 0; overflow: hidden; }
.ifl-names { position: relative; overflow: hidden; border-right: 1px solid var(--ifl-line); }
.ifl-names:focus-visible { outline-offset: -2px; }
.ifl-name { position: absolute; left: 0; right: 0; height: 22px; line-height: 21px; padding: 0 6px 0 4px;
  display: flex; gap: 5px; cursor: pointer; border-bottom: 1px solid var(--ifl-line); }
/* A step changes small texts in many places: none of them moves anything outside its own part. */
.ifl-stage, .ifl-now, .ifl-head, .ifl-bar, .ifl-changes, .ifl-box, .ifl-name, .ifl-track, .ifl-plot, .ifl-names { contain: layout; }
.ifl-name:hover { background: var(--ifl-hover); }
.ifl-name > .ifl-label { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ifl-name i { flex: 0 0 15px; text-align: center; font-style: normal; font-weight: 700; }
.ifl-name[data-tone="ok"] i { color: var(--ifl-ok); } .ifl-name[data-tone="bad"] i { color: var(--ifl-failed); }
.ifl-name[data-tone="busy"] i { color: var(--ifl-exec); } .ifl-name[data-tone="wait"] i { color: var(--ifl-retry); }
.ifl-name[data-ghost] { color: var(--ifl-faint); font-style: italic; }
.ifl-name[data-now] { background: var(--ifl-hover); font-weight: 600; box-shadow: inset 3px 0 0 var(--ifl-cursor); }
.ifl-names:focus-visible .ifl-name[aria-selected="true"] { outline: 2px solid var(--ifl-cursor);
  outline-offset: -2px; }
.ifl-plot { position: relative; cursor: pointer; touch-action: pan-y; }
.ifl-legend { display: flex; flex-wrap: wrap; gap: 3px 14px; margin: 6px 0 0; padding: 0; list-style: none;
  color: var(--ifl-faint); font-size: 12px; }
.ifl-legend li { display: inline-flex; align-items: center; gap: 5px; margin: 0; }
.ifl-tip { position: absolute; z-index: 5; pointer-events: none; max-width: 340px; background: var(--ifl-back);
  color: var(--ifl-text); border: 1px solid var(--ifl-line); border-radius: 4px;
  box-shadow: 0 2px 8px rgba(0,0,0,.25); padding: 3px 8px; font-size: 12px; overflow-wrap: anywhere; }
.ifl-panels { display: grid; grid-template-columns: minmax(0, 1fr); gap: 12px; margin-top: 10px; }
@container (min-width: 960px) { .ifl-panels[data-two] { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }
.ifl-panel h3 { font-size: 13px; font-weight: 600; margin: 0 0 4px; color: var(--ifl-text); }
.ifl-panel h3 span { color: var(--ifl-faint); font-weight: 400; }
.ifl-box { border: 1px solid var(--ifl-line); border-radius: 4px; overflow: auto; max-height: 330px; }
.ifl-changes { list-style: none; margin: 0 0 8px; padding: 0; height: 98px; overflow-y: auto; }
.ifl-changes li { display: flex; gap: 8px; align-items: baseline; margin: 0; min-width: 0; }
.ifl-scrub .ifl-changes .ifl-link { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; max-width: 60%; flex: none; }
.ifl-changes code { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ifl-scrub button.ifl-link { border: 0; background: none; padding: 0 2px; min-height: 24px; min-width: 24px;
  color: var(--ifl-number); text-align: left; text-decoration: underline; text-underline-offset: 2px;
  overflow-wrap: anywhere; flex: 0 1 auto; }
.ifl-scrub code { font-family: var(--ifl-mono); font-size: 12px; background: none; color: inherit; padding: 0; }
.ifl-was { color: var(--ifl-faint); text-decoration: line-through; text-decoration-thickness: 1px; }
.ifl-tree { font: 12px/20px var(--ifl-mono); padding: 4px 0; }
.ifl-tree:focus-visible { outline-offset: -2px; }
.ifl-line { contain: layout; display: flex; align-items: baseline; min-height: 22px;
  padding: 1px 8px 1px calc(6px + var(--ifl-depth) * 16px); cursor: default; border-left: 3px solid transparent; }
.ifl-line:hover { background: var(--ifl-hover); }
.ifl-line[aria-selected="true"] { background: var(--ifl-hover); border-left-color: var(--ifl-cursor); }
.ifl-line[data-mark="added"] { background: var(--ifl-added); }
  .ifl-line[data-mark="changed"] { background: var(--ifl-changed); }
.ifl-twist { flex: 0 0 16px; color: var(--ifl-faint); cursor: pointer; user-select: none; }
.ifl-key { color: var(--ifl-key); white-space: pre; overflow: hidden; text-overflow: ellipsis; max-width: 45%;
  flex: 0 0 auto; }
.ifl-value { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 0; padding-left: 6px; }
.ifl-value[data-type="string"] { color: var(--ifl-text-value); }
  .ifl-value[data-type="number"], .ifl-value[data-type="literal"] { color: var(--ifl-number); }
.ifl-value[data-type="faint"] { color: var(--ifl-faint); } .ifl-value[data-type="error"] { color: var(--ifl-failed); }
.ifl-value[data-type="container"] { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.ifl-line[data-kind="ghost"] .ifl-key, .ifl-line[data-kind="range"] .ifl-key { color: var(--ifl-faint);
  font-style: italic; }
.ifl-badge { flex: none; margin-left: 8px; font: 600 11px/16px var(--jp-ui-font-family, system-ui, sans-serif);
  border: 1px solid currentColor; border-radius: 8px; padding: 0 6px; color: var(--ifl-text); white-space: nowrap; }
.ifl-scrub .ifl-line button { min-height: 24px; padding: 0 6px; margin-left: 8px; flex: none;
  font: 11px/1 var(--jp-ui-font-family, system-ui, sans-serif); }
.ifl-difference table { border-collapse: collapse; width: 100%; font-size: 12px; margin: 0; table-layout: fixed;
  color: inherit; background: none; }
.ifl-difference th, .ifl-difference td { text-align: left; vertical-align: top; padding: 3px 8px;
  border-bottom: 1px solid var(--ifl-line); overflow-wrap: anywhere; color: inherit; background: none; }
.ifl-difference th { position: sticky; top: 0; background: var(--ifl-back); font-weight: 600; z-index: 1; }
.ifl-difference col:nth-child(1) { width: 24%; } .ifl-difference col:nth-child(4) { width: 22%; }
  .ifl-difference col:nth-child(5) { width: 12%; }
.ifl-said { padding: 8px; color: var(--ifl-faint); }
.ifl-insert { display: flex; gap: 8px; margin-top: 8px; align-items: start; flex-wrap: wrap; }
.ifl-scrub textarea { font: 12px/1.5 var(--ifl-mono); flex: 1 1 260px; min-height: 44px; color: var(--ifl-text);
  background: var(--ifl-back); border: 1px solid var(--ifl-line); border-radius: 4px; padding: 4px 8px;
  resize: vertical; }
.ifl-help { margin-top: 8px; } .ifl-help dl { display: grid; grid-template-columns: max-content minmax(0, 1fr);
  gap: 2px 14px; margin: 0; padding: 8px; }
.ifl-help dt { font-family: var(--ifl-mono); font-size: 12px; font-weight: 400; } .ifl-help dd { margin: 0; }
.ifl-scrub[data-empty] .ifl-stage, .ifl-scrub[data-empty] .ifl-panels,
  .ifl-scrub[data-empty] .ifl-legend { display: none; }
@container (max-width: 520px) { .ifl-stage { --ifl-names: 110px; } }
@media (prefers-reduced-motion: reduce) { .ifl-scrub * { scroll-behavior: auto !important;
  animation: none !important; } }
@media (forced-colors: active) { .ifl-line[aria-selected="true"],
  .ifl-name[data-now] { outline: 1px solid Highlight; } }
`;
