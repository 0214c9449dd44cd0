/*
 * Answers for the page where there is no network: a service worker. Before this stand `VERSION`, which changes with
 * anything in the folder, and `SHELL`, the files of the page; its data are kept by static/files.js.
 *
 * A new version is fetched whole while the old one is open, and takes over when no page shows the old one any more: a
 * page never sees files of two versions.
 */

const PREFIX = `mmkeras ${new URL(self.registration.scope).pathname} `;
const CACHE = PREFIX + VERSION;

self.addEventListener("install", (event) => {
  const requests = SHELL.map((name) => new Request(name, { cache: "no-cache" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys().then(async (names) => {
      const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
      await Promise.all(old.map((name) => caches.delete(name)));
      await self.clients.claim();
    }),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  event.respondWith(
    caches
      .open(CACHE)
      .then((cache) => cache.match(request, { ignoreSearch: request.mode === "navigate", ignoreVary: true }))
      .then((response) => response ?? fetch(request)),
  );
});
