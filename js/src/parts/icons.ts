/** The few pictures that the page needs, drawn as SVG paths on a 16 x 16 grid in the colour of the text. */

const PATHS = {
  undo: "M6.5 3.5 3 7l3.5 3.5M3.4 7H9a4 4 0 0 1 0 8H7",
  redo: "M9.5 3.5 13 7l-3.5 3.5M12.6 7H7a4 4 0 0 0 0 8h2",
  down: "m4 6 4 4 4-4",
  right: "m6 4 4 4-4 4",
  run: "M5 3.2v9.6L13 8z",
  pause: "M5 3.5v9M11 3.5v9",
  stop: "M4 4h8v8H4z",
  close: "m4.5 4.5 7 7M11.5 4.5l-7 7",
  search: "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9M10.5 10.5 14 14",
  map: "M2.5 2.5h11v11h-11zM8.5 2.5v11M8.5 8h5",
  fold: "M8 1.8 14.2 5 8 8.2 1.8 5zM2.2 8.2 8 11.2l5.8-3M2.2 11.2 8 14.2l5.8-3",
  list: "M2.5 4h11M5.5 8h8M8.5 12h5",
  warning: "M8 2.2 14.6 13.6H1.4zM8 6.6v3.2M8 11.7v.3",
  refusal: "M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8M4 4l8 8",
} as const;

export type IconName = keyof typeof PATHS;

const SVG = "http://www.w3.org/2000/svg";

/** A decorative picture; the control that holds it carries the words. */
export function icon(name: IconName, filled = false): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 16 16",
    width: "14",
    height: "14",
    "aria-hidden": "true",
    class: "vf-icon",
  }))
    svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  path.setAttribute("fill", filled ? "currentColor" : "none");
  path.setAttribute("stroke", "currentColor");
  path.setAttribute("stroke-width", "1.6");
  path.setAttribute("stroke-linecap", "round");
  path.setAttribute("stroke-linejoin", "round");
  svg.append(path);
  return svg;
}
