/* An editor of Python: CodeMirror, in the colours that the page has for code. Tab leaves it. */

import {
  defaultKeymap, history, historyKeymap, indentLess, indentMore, isolateHistory,
} from "@codemirror/commands";
import { pythonLanguage } from "@codemirror/lang-python";
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap } from "@codemirror/view";
import { tagHighlighter, tags } from "@lezer/highlight";

/* The names of Pygments, by which the theme colours code. */
const colours = tagHighlighter([
  { tag: [tags.keyword, tags.operatorKeyword], class: "k" },
  { tag: [tags.definitionKeyword, tags.moduleKeyword, tags.controlKeyword], class: "k" },
  { tag: tags.bool, class: "kc" },
  { tag: tags.null, class: "kc" },
  { tag: [tags.string, tags.special(tags.string)], class: "s2" },
  { tag: tags.number, class: "mi" },
  { tag: tags.comment, class: "c1" },
  { tag: tags.function(tags.definition(tags.variableName)), class: "nf" },
  { tag: tags.definition(tags.className), class: "nc" },
  { tag: tags.operator, class: "o" },
]);

/* `keys` says what to do by the name of a key. */
export function editor({ parent, text, label, keys, changed }) {
  const own = Object.entries(keys).map(([key, act]) => ({ key, run: () => (act(), true) }));
  const named = { "aria-label": label, spellcheck: "false", autocapitalize: "off", autocorrect: "off" };
  return new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(keymap.of(own)),
        history(),
        indentUnit.of("    "),
        indentOnInput(),
        bracketMatching(),
        pythonLanguage,
        syntaxHighlighting(colours),
        keymap.of([
          { key: "Mod-]", run: indentMore },
          { key: "Mod-[", run: indentLess },
          ...defaultKeymap,
          ...historyKeymap,
        ]),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of(named),
        EditorView.updateListener.of((update) => update.docChanged && changed(textOf(update.view))),
      ],
    }),
  });
}

export const textOf = (view) => view.state.doc.toString();

/* Another text. Undo brings back the one before, and no more than that. */
export function replace(view, text) {
  const changes = { from: 0, to: view.state.doc.length, insert: text };
  view.dispatch({ changes, annotations: isolateHistory.of("full") });
}
