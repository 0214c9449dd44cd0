/**
 * The files of this folder, of one version of it: compressed on the way whatever the host, and kept for the next visit
 * and for when there is no network.
 *
 * Beside each file NAME of the folder `DATA` that compression makes smaller stands NAME.gz. It is what is asked for
 * and kept; a host that unpacks it by itself is noticed.
 */

import { CACHE, DATA } from "./version.js";
import { SourceError } from "./source_error.js";

/** The folder of the page, whatever it is called on its host. */
export const ROOT = new URL("../", import.meta.url);

const GZIP = [0x1f, 0x8b];

/**
 * Read a file of the folder.
 * @param {string} name From the page's folder.
 * @param {boolean} isPacked Whether there is NAME.gz.
 * @returns {Promise<Uint8Array>}
 */
export async function readFile(name, isPacked = true) {
  const unpacks = isPacked && typeof DecompressionStream === "function";
  const response = await kept(new URL(unpacks ? `${name}.gz` : name, ROOT));
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (!unpacks || GZIP.some((byte, place) => bytes[place] !== byte)) return bytes;
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}

/** Read a file of this version's data, see `readFile`. */
export const readData = (name, isPacked) => readFile(DATA + name, isPacked);

/** Return the response for an address, from what this version keeps, else from the network, and keep it. */
export async function kept(url) {
  const cache = await opened();
  const before = await cache?.match(url);
  if (before) return before;
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin" });
  } catch {
    throw new SourceError("The files of this page could not be loaded: there is no connection.", { passing: true });
  }
  if (response.status === 404) {
    throw new SourceError("The files of this page are of another version by now. Close it everywhere and open it again.");
  }
  if (!response.ok) {
    const passing = response.status >= 500 || response.status === 429;
    throw new SourceError(`The files of this page could not be loaded: status ${response.status}.`, { passing });
  }
  await cache?.put(url, response.clone()).catch(() => {}); // a full disk: the page works without
  return response;
}

/** The cache of this version; undefined where the browser has none, as of a page by http from another machine. */
async function opened() {
  return globalThis.caches?.open(CACHE(ROOT)).catch(() => undefined);
}

/** Let the page work without a network from now on, where the browser can. */
export function keepPage() {
  navigator.serviceWorker?.register(new URL("worker.js", ROOT), { scope: ROOT.pathname }).catch(() => {});
}
