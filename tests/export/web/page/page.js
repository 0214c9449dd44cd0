/** The least page that searches: what is typed, and the pictures that are found. */
import { source } from "./source.js";

const [text, status, results] = ["text", "status", "results"].map((id) => document.getElementById(id));
window.source = source;

async function search() {
  const found = await source.search({ text: text.value, k: 5 });
  const entries = found.results.map(async (result) => {
    const [entry, picture] = [document.createElement("li"), document.createElement("img")];
    entry.textContent = result.item.text;
    picture.src = await source.pictureUrl(result);
    await picture.decode();
    entry.append(picture);
    return entry;
  });
  results.replaceChildren(...(await Promise.all(entries)));
  status.textContent = `${found.total} items, ${text.value}`;
}

text.addEventListener("change", () => search().catch((error) => (status.textContent = error.message)));
source.info().then((info) => (status.textContent = `${info.model} ${source.label}`));
