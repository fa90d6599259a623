/* The film's style sheet. Colours of lanes and outcomes are custom properties and classes that
   bear their names, made from the vocabulary. */

import { LANES, OUTCOMES } from "./vocabulary.js";

const outcomes = Object.entries(OUTCOMES);
/* Not a property: a browser that knows no light-dark() would then know no accent at all. */
const kernel = LANES.find(({ key }) => key === "kernel").colour;

const properties = [
  ...LANES.map(({ key, colour }) => `--${key}:${colour}`),
  ...outcomes.map(([kind, { colour }]) => `--${kind}:${colour}`),
];
const classes = [
  ...LANES.map(({ key }, n) => `.kx .lane${n}{fill:var(--${key});stroke:var(--${key})}`),
  ...outcomes.map(([kind, { opacity }]) => `.kx .${kind}{fill:var(--${kind});opacity:${opacity}}`),
];

export const CSS = `
.kx{${properties.join(";")}}
${classes.join("\n")}
.kx{--line:color-mix(in srgb,currentColor 28%,transparent);
  --soft:color-mix(in srgb,currentColor 7%,transparent);font-size:14px;line-height:1.4;
  color:inherit;margin:.75rem 0;border:1px solid var(--line);border-radius:6px;padding:8px 10px;
  break-inside:avoid;scroll-margin:0 0 1rem}
.kx *{box-sizing:border-box}
.kx .hide{display:none}
.kx svg{display:block;width:100%;overflow:hidden;fill:currentColor}
.kx svg text{font:12px system-ui,sans-serif}
.kx svg .hush{font-style:italic}
.kx .mark{stroke:none;fill-rule:evenodd}
.kx .now{fill:var(--soft);stroke:currentColor;stroke-width:1.5}
.kx .rule{stroke:var(--line);fill:none}
.kx .pend{stroke-width:5;stroke-dasharray:4 3;fill:none}
.kx .msg{fill:none;stroke-width:1.5}
.kx svg .rider{font:600 13px ui-monospace,monospace;paint-order:stroke;stroke:var(--paper,transparent)}
.kx svg .fell{text-decoration:line-through}
.kx .head{display:flex;align-items:center;gap:.5rem;min-height:30px}
.kx .title{flex:1;min-width:0;line-height:1.25}
.kx .knobs{display:flex;flex-wrap:wrap;gap:4px 1.2rem;margin:2px 0 4px}
.kx .knobs:empty{display:none}
.kx fieldset{border:0;margin:0;padding:0;min-width:0;display:flex;flex-wrap:wrap;align-items:center;gap:4px}
.kx legend{float:left;padding:0;margin:0 .3rem 0 0;font-size:13px;font-weight:600;width:auto}
.kx fieldset label{position:relative;white-space:nowrap;font-size:13px;margin:0}
.kx fieldset input{position:absolute;inset:0;width:100%;height:100%;margin:0;opacity:0;cursor:pointer}
.kx fieldset span{display:block;border:1px solid var(--line);border-radius:4px;padding:2px 9px}
.kx fieldset :checked+span{border-color:currentColor;box-shadow:inset 0 -3px var(--kernel);font-weight:600}
.kx .bar,.kx .time{display:flex;align-items:center;gap:5px}
.kx .bar{margin:2px 0}
.kx .count{flex:1;min-width:0;text-align:center;white-space:nowrap;font-weight:600;font-variant-numeric:tabular-nums}
.kx [role=slider]{touch-action:pan-y;cursor:pointer;user-select:none;-webkit-user-select:none;
  border-radius:4px}
.kx .time [role=slider]{flex:1;min-width:0}
.kx .near{margin-top:1px}
.kx .tick{opacity:.6}
.kx .thumb{fill:var(--kernel)}
.kx button{font:inherit;line-height:1;color:inherit;background:var(--soft);border:1px solid var(--line);
  border-radius:4px;min-width:34px;min-height:28px;padding:0 6px;cursor:pointer}
.kx .head button{font-size:13px}
.kx button:disabled{opacity:.4;cursor:default}
.kx :is(input:focus-visible+span,button:focus-visible,[role=slider]:focus-visible,summary:focus-visible){
  outline:3px solid var(--kernel);outline-color:light-dark(${kernel},#7cc0f5);outline-offset:1px}
.kx .rows{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:0 10px;align-items:start;margin-top:4px}
.kx .rows.program>:not(.told){display:none}
.kx .name{font-size:13px;font-weight:600;line-height:20px;white-space:nowrap}
.kx .name small{display:block;font:12px/16px system-ui,sans-serif;width:0}
.kx .cells{display:grid;grid-template-columns:repeat(var(--columns),minmax(0,1fr));
  margin:0;padding:0;list-style:none;height:21px;position:relative}
.kx .cells[data-role=got]{height:38px}
.kx .cells li{grid-row:1;height:21px;margin:0;padding:0;min-width:0;text-align:center;
  border:1px solid transparent;border-radius:3px;font:12.5px/18px ui-monospace,monospace}
.kx .cells b{display:block;font-weight:600}
.kx .cells small{display:flex;justify-content:center;font:12px/14px system-ui,sans-serif;
  white-space:nowrap}
.kx .cells .ghost{opacity:.68}
.kx .cells.from::before,.kx .cells.on::after{content:"…";position:absolute;left:-9px;line-height:18px}
.kx .cells.on::after{left:auto;right:-9px}
.kx [data-role=sent] [data-fate=missing]{box-shadow:inset 0 -2px var(--missing)}
.kx [data-role=got] [data-fate=missing]{border:1.5px dashed var(--missing)}
.kx .cells .ghost b,.kx [data-fate=missing] b{font-weight:400}
.kx [data-role=got] [data-fate=missing] b{text-decoration:line-through}
.kx [data-role=got] [data-fate=unread]{border:1px dotted currentColor}
.kx [data-role=got] [data-fate=unread] b{font-weight:400}
.kx [data-role=got] [data-fate=stale]{border:2px solid var(--stale)}
.kx [data-role=got] [data-fate=twice]{border:2px solid var(--duplicate)}
.kx [data-role=got] [data-fate=wrong]{border:2px solid var(--torn)}
.kx [data-role=got] [data-fate=moved]{border-bottom:2px solid currentColor}
.kx .told{grid-column:1/-1;display:flex;flex-wrap:wrap;gap:0 1rem;justify-content:space-between;
  min-height:20px;margin-top:2px}
.kx .lanes{margin-top:4px;touch-action:pan-y}
.kx .say{margin:2px 0 4px;font-size:15px}
.kx .hear{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.kx summary{cursor:pointer;font-size:13px;padding:3px 0}
.kx .panes{display:flex;flex-wrap:wrap;gap:.5rem;margin:.3rem 0 0}
.kx .pane{border:1px solid var(--line);border-radius:5px;padding:.3rem .5rem;min-width:0;flex:1 1 15rem}
.kx .cap{font-size:13px;font-weight:600;margin:0 0 .2rem}
.kx .legend{display:flex;flex-wrap:wrap;gap:0 1rem}
.kx .legend svg{display:inline;width:16px;margin-right:4px;vertical-align:middle}
.kx .two{min-height:2.8em;margin:.2rem 0 0}
.kx table{border-collapse:collapse;margin:0;font-size:13px;width:auto;border:0}
.kx :is(tr,td,th){background:none;border:0}
.kx :is(td,th){font-weight:400;text-align:left;padding:0 .7rem 0 0;vertical-align:top}
.kx thead th{font-weight:600}
.kx td.v{font-family:ui-monospace,monospace}
.kx .regs{display:grid;grid-template-columns:1fr 1fr;gap:0 1rem}
.kx .new{font-weight:700;text-decoration:underline;text-underline-offset:2px}
@media (max-width:640px){
  .kx{padding:4px 6px}
  .kx .rows{grid-template-columns:minmax(0,1fr)}
  .kx .name{font-size:12px;line-height:15px}
  .kx .name small{display:inline;margin-left:.7em}
  .kx .bar{flex-wrap:wrap;justify-content:space-between;gap:0 5px;margin:0}
  .kx .count{flex:1 0 100%;order:-1;line-height:1.2}
  .kx .told{min-height:40px;flex-direction:column;justify-content:flex-start}
  .kx .cells b{letter-spacing:-.4px}
}
@media (max-width:640px),(pointer:coarse){
  .kx button{min-width:44px;min-height:40px}
  .kx .head button{min-height:32px}
  .kx fieldset span{padding:6px 10px}
  .kx summary{padding:6px 0}
}
@media (forced-colors:active){
  .kx .cells li{border-color:Canvas}
  .kx svg,.kx fieldset :checked+span{forced-color-adjust:none;color:CanvasText}
}
@media print{
  .kx :is(button,input,.time,.near,details,label:not(:has(:checked))){display:none}
  .kx .count{text-align:left}
}
`;
