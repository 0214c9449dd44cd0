/** Arrays as NumPy writes them. */

const TYPES = { "|i1": Int8Array, "<f4": Float32Array, "<i8": BigInt64Array };
const MAGIC = "\x93NUMPY";

/**
 * Read an array file (.npy of version 1 to 3), C order, of int8, float32 or int64.
 * @param {Uint8Array} bytes The whole file.
 * @returns {{shape: number[], values: Int8Array|Float32Array|BigInt64Array}} `values` in the order of the file.
 */
export function parseNpy(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || String.fromCharCode(...bytes.subarray(0, 6)) !== MAGIC) {
    throw new Error(`Expected an .npy file. Received: ${bytes.length} bytes of something else`);
  }
  const wide = bytes[6] > 1;
  const start = wide ? 12 : 10;
  const end = start + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder().decode(bytes.subarray(start, end));
  const type = /'descr': '([^']*)'/.exec(header)?.[1];
  const shape = /'shape': \(([^)]*)\)/.exec(header)?.[1].split(",").filter((part) => part.trim()).map(Number);
  const Values = TYPES[type];
  if (!Values || !shape || header.includes("'fortran_order': True")) {
    throw new Error(`Expected an array of ${Object.keys(TYPES).join(", ")} in C order. Received: ${header.trim()}`);
  }
  const count = shape.reduce((product, size) => product * size, 1);
  if (bytes.length !== end + count * Values.BYTES_PER_ELEMENT) {
    throw new Error(`Expected ${count} numbers of ${type}. Received: ${bytes.length - end} bytes`);
  }
  return { shape, values: new Values(bytes.slice(end).buffer) };
}
