/** One result, large: its picture, captions, what is known of it, its score, and what to do with it. */

import { nameOf, pictureTile } from "./cards.js";
import { counted, decimal, element, sign } from "./elements.js";
import { scoreBar } from "./score_bar.js";

const CLOSE = "M6 6l12 12M18 6 6 18";
const PREVIOUS = "M15 5l-7 7 7 7";
const NEXT = "M9 5l7 7-7 7";
const GOOD = "M7 11v9H4v-9zM7 11l4-7.5c1.6 0 2.6 1.2 2.3 2.8L12.7 10H18a2 2 0 0 1 2 2.3l-1 6A2 2 0 0 1 17 20H7";
const BAD = "M17 13V4h3v9zM17 13l-4 7.5c-1.6 0-2.600-1.200-2.3-2.8L11.300 14H6a2 2 0 0 1-2-2.3l1-6A2 2 0 0 1 7 4h10";

/** Shows results in a `<dialog>`; arrow keys go to the previous and the next one. */
export class ItemView {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {object} source
   * @param {object} told `closed()`, `alike(result)`, `moved(result)`, `verdict(result, 1 or -1)`.
   */
  constructor(dialog, source, told) {
    this.dialog = dialog;
    this.source = source;
    this.told = told;
    this.verdicts = new Map();
    dialog.addEventListener("close", () => told.closed());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside what it shows
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step && !event.altKey && !event.ctrlKey && !event.metaKey) this.go(step);
    });
  }

  /**
   * Show a result.
   * @param {object} result
   * @param {object} around `neighbours`, a function that gives the results of the page; `scores` to place the score among
   *     or null; `rate`, whether a verdict can be kept; `query`, what verdicts are kept apart by.
   */
  show(result, around) {
    this.result = result;
    this.around = around;
    const opened = this.dialog.open;
    const focused = this.dialog.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    this.dialog.replaceChildren(this.content(result));
    this.dialog.setAttribute("aria-label", nameOf(result));
    if (!opened) this.dialog.showModal();
    const again = focused && this.dialog.querySelector(`[data-act="${focused}"]:not([disabled])`);
    (again || this.dialog.querySelector('[data-act="alike"]')).focus({ preventScroll: true });
    this.dialog.scrollTop = 0;
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  go(step) {
    const all = this.around.neighbours();
    const place = all.findIndex((each) => each.item.id === this.result.item.id);
    const next = place < 0 ? null : all[place + step];
    if (!next) return;
    this.show(next, this.around);
    this.told.moved(next);
  }

  content(result) {
    const all = this.around.neighbours();
    const place = all.findIndex((each) => each.item.id === result.item.id);
    const [first, ...others] = captionsOf(result);
    return element(
      "div",
      { class: "item-columns" },
      element(
        "div",
        { class: "item-top" },
        button("previous", "Previous result", PREVIOUS, () => this.go(-1), place <= 0),
        button("next", "Next result", NEXT, () => this.go(1), place < 0 || place === all.length - 1),
        place < 0 ? null : element("span", { class: "place" }, `${counted(place + 1)} of ${counted(all.length)}`),
        button("close", "Close", CLOSE, () => this.close(), false),
      ),
      element("div", { class: "item-picture" }, pictureTile(result, this.source)),
      element(
        "div",
        { class: "item-facts" },
        element("h2", {}, first ?? String(result.item.id)),
        others.length ? element("ul", { class: "captions" }, ...others.map((caption) => element("li", {}, caption))) : null,
        this.score(result),
        this.actions(result),
        factsOf(result.item),
      ),
    );
  }

  score(result) {
    if (!Number.isFinite(result.score)) return null;
    const match = Number.isFinite(result.match) ? element("span", {}, `match ${decimal(result.match)}`) : null;
    return element(
      "section",
      { class: "item-score", "aria-label": "Score" },
      element("p", {}, element("strong", {}, decimal(result.score)), " score", match ? " · " : null, match),
      this.around.scores ? scoreBar(result.score, this.around.scores) : null,
    );
  }

  actions(result) {
    const alike = element("button", { type: "button", class: "main-button", click: () => this.told.alike(result) }, "More like this");
    alike.dataset.act = "alike";
    const bar = element("div", { class: "actions" }, alike);
    if (this.around.rate) {
      const good = button("good", "This fits the query", GOOD, () => this.rate(1));
      const bad = button("bad", "This does not fit the query", BAD, () => this.rate(-1));
      bar.append(good, bad, element("span", { class: "thanks", role: "status" }));
      this.press(bar);
    }
    return bar;
  }

  async rate(verdict) {
    const { result, around } = this;
    const bar = this.dialog.querySelector(".actions");
    const said = bar.querySelector(".thanks");
    try {
      await this.told.verdict(result, verdict);
      this.verdicts.set(this.key(result, around), verdict);
      said.textContent = "Kept. Thank you.";
    } catch (error) {
      said.textContent = `Not kept. ${error.message}`;
    }
    if (bar.isConnected) this.press(bar);
  }

  press(bar) {
    const verdict = this.verdicts.get(this.key(this.result, this.around));
    bar.querySelector('[data-act="good"]').setAttribute("aria-pressed", String(verdict === 1));
    bar.querySelector('[data-act="bad"]').setAttribute("aria-pressed", String(verdict === -1));
  }

  key(result, around) {
    return `${around.query}\n${result.item.id}`;
  }
}

function button(act, label, path, click, disabled = false) {
  const made = element("button", { type: "button", class: "small-button", "aria-label": label, title: label, disabled, click }, sign(path));
  made.dataset.act = act;
  return made;
}

function captionsOf(result) {
  return [...new Set([result.item.text, ...(result.captions ?? [])])].filter((caption) => typeof caption === "string" && caption);
}

/** What else is known of an item, as terms and values; addresses of the web become links. */
function factsOf(item) {
  const facts = Object.entries(item).filter(([name, value]) => !["text", "picture"].includes(name) && value !== null && value !== "");
  const list = element("dl", { class: "facts" });
  for (const [name, value] of facts) list.append(element("dt", {}, name), element("dd", {}, said(value)));
  return list;
}

function said(value) {
  if (Array.isArray(value)) return value.map(plain).join(", ");
  const text = plain(value);
  if (!/^https?:\/\/\S+$/i.test(text)) return text;
  return element("a", { href: text, target: "_blank", rel: "noopener noreferrer" }, text);
}

function plain(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
