/** A thin line where a part of the x axis begins, with its name: the stages of one curve. */
import type uPlot from "uplot";
import type { Palette } from "../parts/palette";

export interface Section {
  /** Where it begins, on the x axis. */
  from: number;
  name: string;
}

export function sectionLines(u: uPlot, found: readonly Section[], palette: Palette): void {
  const { ctx, bbox } = u;
  found.forEach(({ from, name }, i) => {
    const x = Math.round(u.valToPos(from, "x", true));
    const end = found[i + 1] ? u.valToPos((found[i + 1] as Section).from, "x", true) : bbox.left + bbox.width;
    ctx.save();
    ctx.strokeStyle = palette.border;
    ctx.fillStyle = palette.muted;
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.font = `${11 * devicePixelRatio}px ${palette.font}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "top";
    const gap = 5 * devicePixelRatio;
    const words = fitted(name, (text) => ctx.measureText(text).width, end - x - 2 * gap);
    if (words) ctx.fillText(words, x + gap, bbox.top);
    ctx.restore();
  });
}

/** As much of a name as there is room for. */
export function fitted(name: string, width: (text: string) => number, room: number): string {
  if (width(name) <= room) return name;
  const letters = [...name];
  while (letters.length > 1) {
    letters.pop();
    if (width(`${letters.join("")}…`) <= room) return `${letters.join("")}…`;
  }
  return "";
}
