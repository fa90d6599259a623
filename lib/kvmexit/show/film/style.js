/* The film's style sheet. Colours of lanes and outcomes are custom properties and classes that
   bear their names, made from the vocabulary. */

import { VOCABULARY } from "./vocabulary.js";

const lanes = VOCABULARY.lanes, outcomes = Object.entries(VOCABULARY.outcomes);
/* Not a property: a browser that knows no light-dark() would then know no accent at all. */
const kernel = lanes.find(({ key }) => key === "kernel").colour;

const properties = [
  ...lanes.map(({ key, colour }) => `--${key}:${colour}`),
  ...outcomes.map(([kind, { colour }]) => `--${kind}:${colour}`),
];
const classes = [
  ...lanes.map(({ key }, n) => `.kx .lane${n}{fill:var(--${key});stroke:var(--${key})}`),
  ...outcomes.map(([kind, { opacity }]) => `.kx .${kind}{fill:var(--${kind});opacity:${opacity}}`),
];

export const CSS = `
.kx{${properties.join(";")}}
${classes.join("\n")}
.kx{--line:color-mix(in srgb,currentColor 28%,transparent);
  --soft:color-mix(in srgb,currentColor 7%,transparent);font-size:14px;line-height:1.45;
  color:inherit;margin:.75rem 0;border:1px solid var(--line);border-radius:6px;padding:.6rem}
.kx *{box-sizing:border-box}
.kx svg{display:block;width:100%;overflow:hidden}
.kx svg text{fill:currentColor;font:12px system-ui,sans-serif}
.kx svg .hush{font-style:italic}
.kx .mark{stroke:none;fill-rule:evenodd}
.kx .now{fill:var(--soft);stroke:currentColor;stroke-width:1.5}
.kx .other{fill:var(--soft);stroke:none}
.kx .rule{stroke:var(--line)}
.kx .pend{stroke-width:5;stroke-dasharray:4 3;fill:none}
.kx .msg{fill:none;stroke-width:1.5}
.kx .box{fill:currentColor;opacity:.12}
.kx .title{display:block;margin:0 0 .35rem}
.kx .title:empty{display:none}
.kx .knobs{display:flex;flex-wrap:wrap;gap:.35rem 1.2rem;margin:0 0 .5rem}
.kx .knobs:empty{display:none}
.kx fieldset{border:0;margin:0;padding:0;min-width:0;display:flex;flex-wrap:wrap;
  align-items:baseline;gap:.1rem .7rem}
.kx legend{float:left;padding:0;margin:0 .3rem 0 0;font-size:14px;font-weight:600;width:auto}
.kx label{white-space:nowrap;font-size:14px}
.kx .bar{display:flex;align-items:center;gap:.4rem}
.kx .bar>label{font-weight:600;margin-inline-end:auto}
.kx .count{white-space:nowrap;font-variant-numeric:tabular-nums}
.kx input[type=range]{width:100%;margin:0;min-height:28px}
.kx input{accent-color:var(--kernel);accent-color:light-dark(${kernel},#7cc0f5)}
.kx button{font:inherit;color:inherit;background:var(--soft);border:1px solid var(--line);
  border-radius:4px;min-width:30px;min-height:28px;padding:0 .4rem;cursor:pointer}
.kx :is(input,button):focus-visible{outline:3px solid var(--kernel);outline-offset:2px}
.kx .say{min-height:1.5em;margin:.3rem 0;font-size:15px}
.kx .legend{display:flex;flex-wrap:wrap;gap:.3rem 1rem;margin:.3rem 0 .5rem}
.kx .legend span{display:flex;align-items:center;gap:.4rem}
.kx .legend svg{flex:none;width:12px}
.kx .result{margin:.2rem 0 .8rem}
.kx .result strong{display:block;margin-top:.3rem}
.kx .strip{cursor:pointer;padding:0 8px}
.kx .strip svg{overflow:visible}
.kx .panes{display:flex;flex-wrap:wrap;gap:.5rem;margin:.4rem 0}
.kx .pane{border:1px solid var(--line);border-radius:5px;padding:.35rem .5rem;min-width:0;
  flex:1 1 15rem}
.kx .wide{flex:2 1 24rem}
.kx .full{flex:1 1 100%}
.kx .head{font-size:13px;font-weight:600;margin:0 0 .2rem;padding:0}
.kx table{border-collapse:collapse;margin:0;font-size:13px;width:auto;border:0}
.kx tr{background:none;border:0}
.kx :is(td,th){font-weight:400;text-align:left;padding:0 .7rem 0 0;border:0;vertical-align:top;
  background:none}
.kx td.v{font-family:ui-monospace,monospace}
.kx .regs{display:grid;grid-template-columns:1fr 1fr;gap:0 1rem}
.kx .new{font-weight:700;text-decoration:underline;text-underline-offset:2px}
.kx .bytes{display:flex;flex-wrap:wrap;gap:3px 2px;margin:0;padding:0;list-style:none}
.kx .bytes li{margin:0;padding:0 2px;min-width:26px;text-align:center;
  border:1px solid transparent;border-radius:3px;font:13px/1.35 ui-monospace,monospace}
.kx .bytes small{display:block;font-size:12px;font-family:system-ui,sans-serif}
.kx .bytes small:empty{display:none}
.kx .tall{min-height:2.9em}
.kx li.gone b{opacity:.75;text-decoration:line-through;font-weight:400}
.kx .bytes b{font-weight:400}
.kx li.next{border-color:currentColor}
.kx li.gap{border:2px dashed var(--missing)}
.kx li.old{border:2px solid var(--stale)}
.kx li.twice{border:2px solid var(--duplicate)}
.kx li.wrong{border:2px solid var(--torn)}
.kx li.moved{border-bottom:2px solid currentColor}
.kx .note{margin:0 0 .25rem}
.kx .compare{display:inline-flex;align-items:center;gap:.4rem;margin-top:.3rem;white-space:normal}
.kx .diff{margin-top:.5rem}
.kx .diff p{margin:0}
.kx .diff .head{margin-top:.6rem}
.kx .diff table{margin-top:.6rem}
.kx .diff th{font-weight:600}
.kx .hide{display:none}
@media (max-width:640px){
  .kx{padding:.4rem}
  .kx .say{min-height:3em}
  .kx .bar>label{white-space:normal;min-width:0}
}
@media (max-width:640px),(pointer:coarse){
  .kx button{min-width:44px;min-height:40px}
  .kx input[type=range]{min-height:36px}
  .kx :is(fieldset label,.compare){padding:.35rem 0}
  .kx :is([type=radio],[type=checkbox]){width:18px;height:18px;vertical-align:-4px}
}
@media print{
  .kx button,.kx input,.kx .knobs,.kx .bar{display:none}
}
`;
