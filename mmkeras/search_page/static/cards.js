/** Results as a grid of pictures, and pictures as they look right: drawings crisp, photographs filling their tile. */

import { decimal, element } from "./elements.js";

const DRAWING = 64; // px; a picture with no longer side is a drawing, whose pixels are shown as they are

/** What a result is called: its first caption, else its id. */
export const nameOf = (result) => result.item.text || result.captions?.[0] || String(result.item.id);

/**
 * The tile of a result's picture; without one, or with one that cannot be shown, its text.
 * @param {object} result
 * @param {object} source
 * @param {string} alt what somebody hears who does not see it.
 */
export function pictureTile(result, source, alt = nameOf(result)) {
  const tile = element("span", { class: "tile" });
  const words = () => {
    tile.classList.add("words");
    tile.replaceChildren(element("span", {}, nameOf(result)));
  };
  Promise.resolve(result.picture ? source.pictureUrl(result) : null).then((url) => {
    if (!url) return words();
    const image = element("img", { alt, decoding: "async", draggable: "false", error: words });
    image.addEventListener("load", () => showCrisp(image));
    image.src = url;
    tile.append(image);
  }, words);
  return tile;
}

/** Give a loaded picture the look of a drawing where it is as small as one: whole pixels, as many as have room. */
export function showCrisp(image) {
  const longest = Math.max(image.naturalWidth, image.naturalHeight);
  const drawing = longest > 0 && longest <= DRAWING;
  image.closest(".tile, .chip")?.classList.toggle("drawing", drawing);
  image.style.setProperty("--side", drawing ? `${longest}px` : "");
}

/**
 * A card of the grid.
 * @param {object} result
 * @param {object} source
 * @param {(result: object) => void} open called when the card is chosen.
 */
export function card(result, source, open) {
  const name = nameOf(result);
  const button = element(
    "button",
    { type: "button", class: "card", tabindex: "-1", click: () => open(result) },
    pictureTile(result, source),
    element("span", { class: "caption", "aria-hidden": "true" }, name),
    element("span", { class: "score" }, element("span", { class: "unseen" }, "score "), decimal(result.score)),
  );
  button.dataset.id = result.item.id;
  return element("li", {}, button);
}

/**
 * Let arrow keys, Home and End move between the cards of a list; Tab goes past them with one step.
 * @param {HTMLElement} list
 * @param {() => void} leave called where somebody goes up from the first row.
 */
export function moveByKeys(list, leave) {
  const cards = () => [...list.querySelectorAll(".card")];
  list.addEventListener("focusin", ({ target }) => {
    if (target.matches(".card")) cards().forEach((each) => (each.tabIndex = each === target ? 0 : -1));
  });
  list.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const all = cards();
    const place = all.indexOf(document.activeElement);
    if (place < 0) return;
    const top = all[0].parentElement.offsetTop;
    const across = all.findIndex((each) => each.parentElement.offsetTop > top);
    const width = across < 0 ? all.length : across;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: width, ArrowUp: -width, Home: -place, End: all.length - 1 - place };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const next = place + steps[event.key];
    if (next < 0 && event.key === "ArrowUp") leave();
    else all[Math.min(Math.max(next, 0), all.length - 1)].focus();
  });
}
