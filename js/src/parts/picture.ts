/** A picture that came as PNG bytes. Only files that begin as PNG are shown; its address is given back when the view ends. */
import { h } from "./dom";

const PNG = [0x89, 0x50, 0x4e, 0x47];

export function picture(bytes: Uint8Array, words: string, signal: AbortSignal): HTMLElement | null {
  if (!PNG.every((byte, i) => bytes[i] === byte)) return null;
  const address = URL.createObjectURL(new Blob([bytes.slice()], { type: "image/png" }));
  signal.addEventListener("abort", () => URL.revokeObjectURL(address), { once: true });
  return h("img.vf-picture", { src: address, alt: words });
}
