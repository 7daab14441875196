/**
 * Binary columns: little-endian bytes from whatever view the host hands over (a DataView at any offset, a typed array, a
 * buffer) into typed arrays of their own. Bytes are copied, so alignment never matters and the host may reuse its memory.
 */

const HOST_IS_LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

interface Column<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): T;
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return new Uint8Array(0);
}

/** Reads a column; a missing or ragged one gives the whole elements that are there. */
export function column<T>(type: Column<T>, value: unknown): T {
  const source = bytesOf(value);
  const size = type.BYTES_PER_ELEMENT;
  const copy = new Uint8Array(source.length - (source.length % size));
  copy.set(source.subarray(0, copy.length));
  if (!HOST_IS_LITTLE && size > 1) for (let i = 0; i < copy.length; i += size) copy.subarray(i, i + size).reverse();
  return new type(copy.buffer);
}
