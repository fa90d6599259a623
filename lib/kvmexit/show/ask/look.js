/* How a question looks. Outcomes have the colours of the vocabulary, all else is the page's ink. */

import { LANES, OUTCOMES } from "./vocabulary.js";

const outcomes = Object.entries(OUTCOMES);
const colours = outcomes.map(([kind, { colour }]) => `--${kind}:${colour}`);
const fills = outcomes.map(([kind, { opacity }]) =>
  `.kxq .${kind}{fill:var(--${kind});opacity:${opacity}}`);
const [kernel] = LANES.filter(({ key }) => key === "kernel");

export const CSS = `
.kxq{${colours.join(";")};
  --line:color-mix(in srgb,currentColor 28%,transparent);
  --soft:color-mix(in srgb,currentColor 7%,transparent);--focus:${kernel.colour}}
${fills.join("\n")}
.kxq *{box-sizing:border-box}
.kxq [hidden]{display:none!important}
.kxq p{margin:0 0 .4rem}
.kxq .option{border:1px solid var(--line);border-radius:5px;margin:.35rem 0}
.kxq .option.mine{border:2px solid}
.kxq label{display:flex;align-items:center;gap:.6rem;min-height:44px;margin:0;
  padding:.3rem .6rem;cursor:pointer}
.kxq.done label{cursor:default}
.kxq label small{margin-inline-start:auto;font-size:.875rem;white-space:nowrap}
.kxq input{accent-color:var(--focus);margin:0;flex:none}
.kxq input[type=radio]{width:18px;height:18px}
.kxq input[type=range]{width:100%;min-height:44px}
.kxq input.unset:not(:focus-visible){opacity:.45}
.kxq.done input[type=radio]{display:none}
.kxq .option .kvmexit-answer{margin:0!important;padding:0 .6rem .4rem}
.kxq .said{margin:.4rem 0}
.kxq .said:empty{display:none}
.kxq .said:focus{outline:none}
.kxq .bar{margin-top:.5rem;display:flex;flex-wrap:wrap;align-items:center;gap:.5rem}
.kxq .need{flex:1 1 14rem;min-height:1lh;margin:0}
.kxq button{font:inherit;color:inherit;background:var(--soft);
  border:1px solid currentColor;border-radius:4px;min-width:44px;min-height:44px;
  padding:0 .8rem;cursor:pointer}
.kxq button:disabled{opacity:.45;cursor:default}
.kxq .tally{display:inline-flex;align-items:center;min-height:44px}
.kxq :is(input,button):focus-visible{outline:3px solid var(--focus);outline-offset:2px}
.kxq svg{display:block;width:100%;height:48px;cursor:pointer;touch-action:pan-y}
.kxq svg.locked{cursor:default}
.kxq .box{fill:currentColor;opacity:.14}
.kxq .guess{fill:currentColor;opacity:.6}
.kxq .here{fill:none;stroke:currentColor;stroke-width:2}
.kxq .head{margin:.5rem 0 .2rem;font-size:.875rem}
.kxq .where{flex:1 1 12rem;font-variant-numeric:tabular-nums}
.kxq .legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.4rem 0}
.kxq .legend span{display:inline-flex;align-items:center;gap:.4rem}
.kxq .legend svg{width:12px;height:20px;cursor:default}
.kxq~.paper{display:none}
@media print{.kxq{display:none}.kxq~.paper{display:block}}
`;
