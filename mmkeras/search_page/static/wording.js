/** What the page says, as sentences. */

import { nameOf } from "./cards.js";
import { counted, decimal } from "./elements.js";
import { filterCount } from "./filters.js";
import { crosses } from "./query_state.js";

/** What is searched, for an empty page. */
export function leadText(info) {
  const { text = true, picture = true } = info.tasks ?? {};
  const ways = [text && "Describe one in words", picture && `${text ? "drop" : "Drop"}, paste or choose a picture`];
  return `${counted(info.items)} items. ${ways.filter(Boolean).join(", or ")}.`;
}

/** Who answered, what was searched and how long it took; before a search who will, and where. */
export function statusText(info, answer, source) {
  const version = info.version === null ? "" : ` version ${info.version}`;
  const filtered = answer && answer.total !== info.items;
  const milliseconds = answer?.milliseconds.all;
  const parts = [
    `${info.model}${version}${info.label ? ` (${info.label})` : ""}`,
    `${filtered ? `${counted(answer.total)} of ` : ""}${counted(info.items)} items`,
    answer ? `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms` : source.label,
  ];
  return parts.filter(Boolean).join(" · ");
}

/** A line above the results where nothing was found, or nothing that fits; else empty. */
export function noticeText(info, asked, results) {
  if (!results.length) return filterCount(asked) ? "Nothing passes these filters." : "Nothing was found.";
  const { threshold } = info.scores ?? {};
  const { score } = results[0];
  if (!crosses(asked, info) || !Number.isFinite(threshold) || score >= threshold) return "";
  return `Nothing fits well. The best score is ${decimal(score)}; nine searches in ten that have an answer find ${decimal(threshold)} or more.`;
}

/** What is told of results to those who hear the page. */
export function heardText(notice, results, more) {
  if (!results.length) return notice;
  const count = more ? `The first ${results.length} results` : `${results.length} ${results.length === 1 ? "result" : "results"}`;
  return `${notice ? "Nothing fits well. " : ""}${count}. Best: ${nameOf(results[0])}`;
}

/** What went wrong, and whether the page tries again by itself. */
export function alertText(error, triesAgain) {
  const again = !triesAgain ? "" : navigator.onLine ? " The page goes on trying." : " This computer is offline.";
  return `${error.message}${/[.!?]$/.test(error.message) ? "" : "."}${again}`;
}
