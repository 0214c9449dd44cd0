/** The picture within the box: one of the searcher's own, or that of an item whose like is looked for. */

import { nameOf, showCrisp } from "./cards.js";
import { byId } from "./elements.js";

export class QueryChip {
  /** @param {object} source @param {() => void} removed called when somebody takes the picture out of the query. */
  constructor(source, removed) {
    this.source = source;
    this.picture = byId("chip-picture");
    this.address = null; // of a picture of the searcher's own, to be given back
    this.number = 0; // of what is shown
    this.picture.addEventListener("load", () => showCrisp(this.picture));
    byId("chip-remove").addEventListener("click", removed);
  }

  /** Show a picture that somebody chose. */
  showFile(picture, name) {
    this.hide();
    this.address = URL.createObjectURL(picture);
    this.show(this.address, name);
  }

  /** Show the item whose like is looked for. */
  async showItem(result) {
    this.hide();
    const { number } = this;
    const name = `like ${nameOf(result)}`;
    this.show(null, name);
    const address = await this.source.pictureUrl(result);
    if (address && number === this.number) this.show(address, name);
  }

  hide() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
    this.number += 1;
    byId("chip").hidden = true;
  }

  show(address, name) {
    this.picture.hidden = !address;
    if (address) this.picture.src = address;
    byId("chip-name").textContent = name;
    byId("chip").title = name;
    byId("chip").hidden = false;
  }
}
