/** Pictures to search with: chosen, photographed, dropped or pasted, and made small before they travel. */

import { SourceError } from "./source_error.js";

const LONGEST = 640; // px; no encoder here looks at more, and a photograph of a phone has 4,000
const AS_THEY_ARE = new Set(["image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp"]);
const LIGHT = 400_000; // bytes

/**
 * Return the picture as it is sent: the file itself where it is small and of a kind that servers read, else drawn anew,
 * upright, with no side longer than 640 px.
 * @param {Blob} file
 * @param {number} most bytes that the server takes.
 * @returns {Promise<Blob>}
 */
export async function prepared(file, most) {
  const picture = await madeSmall(file);
  if (picture.size <= most) return picture;
  const mega = (bytes) => (bytes / 1e6).toFixed(1);
  throw new SourceError(`Expected a picture of at most ${mega(most)} MB. Received: ${mega(picture.size)} MB`);
}

async function madeSmall(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    const kind = file.type || "a file of an unknown kind";
    throw new SourceError(`Expected a picture that this browser can show, such as a JPEG, PNG or WebP. Received: ${kind}`);
  }
  try {
    const scale = LONGEST / Math.max(bitmap.width, bitmap.height);
    if (scale >= 1 && AS_THEY_ARE.has(file.type) && file.size <= LIGHT) return file;
    return await redrawn(bitmap, Math.min(1, scale), file.type === "image/png" ? "image/png" : "image/jpeg");
  } finally {
    bitmap.close();
  }
}

function redrawn(bitmap, scale, type) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  if (type === "image/jpeg") {
    context.fillStyle = "#fff"; // what was transparent would be black
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    const done = (blob) => (blob ? resolve(blob) : reject(new SourceError("The picture could not be made smaller.")));
    canvas.toBlob(done, type, 0.92);
  });
}

/**
 * Call `take(file)` for every picture that is chosen, dropped anywhere on the page or pasted.
 * @param {HTMLInputElement[]} inputs
 * @param {HTMLElement} curtain shown while a file hangs over the page.
 * @param {(file: File) => void} take
 * @param {(message: string) => void} refuse told where something else than a file was dropped.
 */
export function takePictures(inputs, curtain, take, refuse) {
  for (const input of inputs) {
    input.addEventListener("change", () => {
      if (input.files.length) take(input.files[0]);
      input.value = ""; // the same file may be chosen again
    });
  }
  const carries = (event) => event.dataTransfer?.types.some((type) => type === "Files" || type === "text/uri-list");
  const show = (shown) => curtain.classList.toggle("shown", shown);
  addEventListener("dragover", (event) => {
    if (!carries(event)) return; // dragged text goes into the box
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    show(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && show(false));
  addEventListener("drop", (event) => {
    show(false);
    if (!carries(event)) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) take(file);
    else refuse("A link was dropped. This page opens none: save the picture and drop the file, or copy and paste the picture.");
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}
