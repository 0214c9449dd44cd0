/** The page: what is asked, what is found, and how both are in the address. */

import { card, moveByKeys } from "./cards.js";
import { canFilter, filterCount, showFilters } from "./filters.js";
import { ItemView } from "./item_view.js";
import { QueryChip } from "./query_chip.js";
import { prepared, takePictures } from "./query_picture.js";
import { asksSomething, blankQuery, crosses, fieldsOf, readAddress, searchedIn, writeAddress } from "./query_state.js";
import { Searching } from "./searching.js";
import { showSnippets } from "./snippets_view.js";
import { source } from "./source.js";
import { alertText, heardText, leadText, noticeText, statusText } from "./wording.js";

const PAGE = 48; // results asked for at once
const nodes = Object.fromEntries([...document.querySelectorAll("[id]")].map((node) => [node.id, node]));

let info = null;
let query = readAddress(location.search).query;
let results = [];
let newest = null; // answer
let awaited = null; // id of an item of the address that is not here yet
const held = []; // pictures that were asked with: the browser's way back knows them by their places here

const searching = new Searching((asked, offset, signal) => source.search(fieldsOf(asked, info, PAGE, offset), signal), {
  started() {
    replaceAddress(); // and not with each key: browsers allow so many changes a minute
    nodes.bar.classList.add("busy");
    nodes.results.setAttribute("aria-busy", "true");
  },
  answered(answer, asked, offset) {
    settle();
    alertOf(null);
    if (info.version !== answer.version || info.space_id !== answer.space_id) refreshInfo();
    add(answer, offset);
    if (!offset) tell(answer, asked);
    const opened = nodes.item.open && results.find(({ item }) => String(item.id) === String(view.result.item.id));
    if (opened) show(opened); // which came by its address, without a score
    nodes.more.hidden = !answer.more;
    statusOf(answer);
    watchEnd();
  },
  failed(error, wait) {
    settle();
    alertOf(error, wait);
    document.body.classList.add("stale");
  },
});

const chip = new QueryChip(source, () => {
  forgetPicture();
  ask();
  nodes.text.focus();
});

const view = new ItemView(nodes.item, source, {
  closed() {
    if (history.state?.opened) history.back();
    else replaceAddress();
    const id = view.result && String(view.result.item.id);
    [...nodes.results.querySelectorAll(".card")].find((each) => each.dataset.id === id)?.focus();
  },
  moved: replaceAddress,
  alike(result) {
    // The item is left, not closed: its place on the way back is that of the new query.
    if (history.state?.opened) history.replaceState(placed(false), "", addressOf(null));
    else history.pushState(placed(false), "", addressOf(null));
    view.result = null;
    view.close();
    askLike(result);
  },
  verdict: (result, verdict) => {
    const asked = query.id ? { query_id: query.id } : { text: query.text.trim() };
    return source.feedback({ ...asked, id: String(result.item.id), verdict });
  },
});

// --- The query ---

/** Ask what the page's query says; `typing` waits for a pause. */
function ask(typing = false) {
  awaited = null;
  showQuery();
  if (!info) return replaceAddress(); // which is read when there is something to search
  if (asksSomething(query)) return searching.search({ ...query }, typing);
  searching.stop();
  replaceAddress();
  settle();
  alertOf(null);
  add({ results: [] }, 0);
  nodes.notice.hidden = nodes.more.hidden = true;
  nodes.live.textContent = "";
  statusOf(null);
}

function askLike(result) {
  Object.assign(query, { text: "", id: String(result.item.id), picture: null, pictureName: "" });
  nodes.text.value = "";
  chip.showItem(result);
  ask();
  scrollTo({ top: 0 });
  nodes.text.focus({ preventScroll: true });
}

async function askPicture(file) {
  try {
    const picture = await prepared(file, info?.max_upload_bytes || Infinity);
    Object.assign(query, { picture, pictureName: file.name || "picture", id: null });
    chip.showFile(picture, query.pictureName);
    ask();
  } catch (error) {
    alertOf(error);
  }
}

function forgetPicture() {
  Object.assign(query, { picture: null, pictureName: "", id: null });
  chip.hide();
}

/** The parts around the box, as the query is. */
function showQuery() {
  const asks = asksSomething(query);
  document.body.classList.toggle("blank", !asks);
  nodes["weight-label"].hidden = !(query.picture && query.text.trim());
  nodes.weight.value = Math.round(100 * (1 - query.weight));
  const placeholder = query.picture ? "Add words to the picture" : query.id ? "Or type something else" : "Describe a picture";
  nodes.text.placeholder = placeholder;
  document.title = [query.text.trim() || query.pictureName || (query.id && `like ${query.id}`), info?.model ?? "Search"].filter(Boolean).join(" · ");
  if (!info) return;
  nodes.within.hidden = info.modalities.length < 2 || !asks;
  for (const choice of nodes.within.querySelectorAll("input")) choice.checked = choice.value === searchedIn(query, info);
  nodes.copy.hidden = !asks || !source.snippets;
  const count = filterCount(query);
  nodes["filters-open"].hidden = !asks || !canFilter(info, source);
  nodes["filters-open"].textContent = count ? `Filters (${count})` : "Filters";
  if (!asks) openFilters(false);
}

function openFilters(open) {
  nodes.filters.hidden = !open;
  nodes["filters-open"].setAttribute("aria-expanded", String(open));
}

// --- What is found ---

function add(answer, offset) {
  if (!offset) {
    results = [];
    nodes.results.replaceChildren();
  }
  nodes.results.append(...answer.results.map((result) => card(result, source, open)));
  results.push(...answer.results);
  const first = nodes.results.querySelector(".card");
  if (!offset && first) first.tabIndex = 0;
}

/** Say what came of a question: where nothing fits, and in words for those who hear. */
function tell(answer, asked) {
  const notice = noticeText(info, asked, results);
  nodes.notice.hidden = !notice;
  nodes.notice.textContent = notice;
  nodes.live.textContent = heardText(notice, results, answer.more);
  if (!nodes.item.open) scrollTo({ top: 0 });
}

function open(result) {
  history.pushState(placed(true), "", addressOf(String(result.item.id)));
  show(result);
}

function show(result) {
  const asks = asksSomething(query);
  view.show(result, {
    neighbours: () => results,
    scores: asks && crosses(query, info) ? info.scores : null,
    rate: Boolean(info.feedback && source.feedback && asks && !query.picture),
    query: writeAddress(query),
  });
}

function statusOf(answer) {
  newest = answer;
  if (info) nodes.status.textContent = statusText(info, answer, source);
}

function settle() {
  nodes.bar.classList.remove("busy");
  nodes.results.removeAttribute("aria-busy");
}

/** Say what went wrong, or that nothing is wrong any more. */
function alertOf(error, wait = null) {
  nodes.alert.hidden = !error;
  if (!error) return document.body.classList.remove("stale");
  nodes["alert-text"].textContent = alertText(error, wait !== null);
  nodes.retry.hidden = wait === null;
}

// --- The address ---

const addressOf = (id) => location.pathname + writeAddress(query, id);
/** What an entry of the browser's history knows: whether an item was opened over its search, and the picture asked with. */
function placed(opened) {
  if (query.picture && !held.includes(query.picture)) held.push(query.picture);
  return { opened, picture: held.indexOf(query.picture), name: query.pictureName };
}

function replaceAddress() {
  history.replaceState(placed(Boolean(history.state?.opened)), "", addressOf(nodes.item.open ? String(view.result.item.id) : awaited));
}

/** Take a query as a whole, and ask it. */
function begun(other) {
  query = other;
  nodes.text.value = query.text;
  if (info) showFilters(nodes.filters, info, source, query, ask);
  openFilters(filterCount(query) > 0);
  ask();
}

/** Show what the address says: when the page comes, and on the browser's way back and forth. */
async function readPage() {
  const { query: said, item } = readAddress(location.search);
  said.picture = held[history.state?.picture] ?? null;
  said.pictureName = said.picture ? history.state.name : "";
  const same = writeAddress(said) === writeAddress(query) && said.picture === query.picture && results.length > 0;
  if (!same) {
    if (said.picture) chip.showFile(said.picture, said.pictureName);
    else chip.hide();
    begun({ ...said, weight: query.weight });
  }
  if (!item) view.close();
  if (!info) return;
  // What comes late may be of an address that somebody has left meanwhile.
  try {
    if (said.id && !same) source.item(said.id).then((like) => query.id === said.id && chip.showItem(like), alertOf);
    if (!item || (nodes.item.open && String(view.result.item.id) === item)) return;
    awaited = item;
    const opened = results.find((each) => String(each.item.id) === item) ?? (await source.item(item));
    if (awaited === item) show(opened);
    awaited = null;
  } catch (error) {
    awaited = null;
    alertOf(error);
  }
}

// --- What is searched ---

let infoTimer = null;
let infoTries = 0;

async function begin() {
  clearTimeout(infoTimer);
  try {
    info = await source.info();
  } catch (error) {
    const wait = Math.min(15_000, 500 * 2 ** infoTries++);
    alertOf(error, wait);
    infoTimer = setTimeout(begin, wait);
    return;
  }
  alertOf(null);
  showInfo();
  await readPage();
}

function showInfo() {
  nodes.home.textContent = info.model;
  nodes.lead.textContent = leadText(info);
  nodes.text.disabled = info.tasks?.text === false;
  document.body.classList.toggle("words-only", info.tasks?.picture === false);
  showFilters(nodes.filters, info, source, query, ask);
  showQuery();
  statusOf(newest);
}

async function refreshInfo() {
  try {
    info = await source.info();
    showInfo();
  } catch {
    // the next answer tells again
  }
}

// --- What people do ---

nodes.text.value = query.text;
nodes.text.addEventListener("input", () => {
  query.text = nodes.text.value;
  if (query.id) forgetPicture();
  ask(true);
});
nodes.text.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") {
    event.preventDefault();
    nodes.results.querySelector(".card")?.focus();
  }
});
nodes.form.addEventListener("submit", (event) => {
  event.preventDefault();
  history.pushState(placed(false), "", location.href);
  ask();
});
nodes.weight.addEventListener("input", () => {
  query.weight = Math.round(100 - nodes.weight.value) / 100;
  ask(true);
});
nodes.within.addEventListener("change", (event) => {
  query.in = event.target.value;
  ask();
});
nodes["filters-open"].addEventListener("click", () => openFilters(nodes.filters.hidden));
nodes.copy.addEventListener("click", () => showSnippets(nodes.snippets, source.snippets(fieldsOf(query, info, 24, 0), info)));
nodes.retry.addEventListener("click", () => (info ? searching.retry() : begin()));
nodes.more.addEventListener("click", () => searching.more());
nodes.home.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", location.pathname);
  chip.hide();
  begun(blankQuery());
  nodes.text.focus();
});
moveByKeys(nodes.results, () => nodes.text.focus());
takePictures([nodes.file, nodes.camera], nodes.drop, askPicture, (message) => alertOf(new Error(message)));
addEventListener("keydown", (event) => {
  const writing = event.target.matches?.("input:not([type=checkbox], [type=radio], [type=range]), textarea");
  const back = event.key === "/" && !writing && !document.querySelector("dialog[open]");
  const escape = event.key === "Escape" && nodes.results.contains(event.target);
  if ((back || escape) && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    nodes.text.focus();
    nodes.text.select();
  }
});
addEventListener("popstate", readPage);
addEventListener("online", () => (info ? searching.retry() : begin()));

const watcher = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && searching.more(), { rootMargin: "600px" });

/** Look at the end of the grid anew: where it is still in sight, more is asked for. */
function watchEnd() {
  watcher.unobserve(nodes.end);
  watcher.observe(nodes.end);
}

showQuery();
begin();
