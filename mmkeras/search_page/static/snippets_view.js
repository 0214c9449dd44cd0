/** The dialog with the query as commands and a program to copy. */

import { element, sign } from "./elements.js";

/**
 * Show texts to copy.
 * @param {HTMLDialogElement} dialog
 * @param {{name: string, says: string, code: string}[]} snippets
 */
export function showSnippets(dialog, snippets) {
  const close = element("button", { type: "button", class: "small-button", "aria-label": "Close", click: () => dialog.close() }, sign("M6 6l12 12M18 6 6 18"));
  dialog.replaceChildren(
    element("div", { class: "snippets-top" }, element("h2", { id: "snippets-title" }, "This query elsewhere"), close),
    ...snippets.map(snippet),
  );
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  dialog.showModal();
}

function snippet({ name, says, code }) {
  const text = element("code", {}, code);
  const copy = element("button", { type: "button", class: "quiet-button", "aria-label": `Copy ${name}`, click: async () => {
    copy.textContent = (await copied(code, text)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (copy.textContent = "Copy"), 2000);
  } }, "Copy");
  return element("section", { "aria-label": name },
    element("div", { class: "snippet-top" }, element("h3", {}, name), element("p", { class: "note" }, says), copy),
    element("pre", { tabindex: "0" }, text));
}

/** Put a text on the clipboard; where the browser lets no page do so, as over plain HTTP, mark it. */
async function copied(code, node) {
  try {
    await navigator.clipboard.writeText(code);
    return true;
  } catch {
    getSelection().selectAllChildren(node);
    return false;
  }
}
