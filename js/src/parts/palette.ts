/**
 * Colours for the canvas, read from the custom properties of the page's own element, so that one place (`style/tokens.css`)
 * knows them. Also the sequential scale for live values.
 */

export interface TuningColour {
  fill: string;
  ink: string;
}

export interface Palette {
  /** False while the style sheet has not arrived: the colours are stand-ins then. */
  styled: boolean;
  dark: boolean;
  /** By tuning code: frozen, lora, full, mixed, none. */
  tunings: TuningColour[];
  surface: string;
  raised: string;
  border: string;
  ink: string;
  muted: string;
  accent: string;
  focus: string;
  grid: string;
  ok: string;
  warning: string;
  failure: string;
  series: string[];
  font: string;
}

/** How strong counts and letters on a tile are beside its name. */
export const SECOND_LINE = 0.9;

const TUNING_NAMES = ["frozen", "lora", "full", "mixed", "none"];

export function readPalette(root: HTMLElement): Palette {
  const styles = getComputedStyle(root);
  const get = (name: string, otherwise: string): string => styles.getPropertyValue(`--vf-${name}`).trim() || otherwise;
  return {
    styled: styles.getPropertyValue("--vf-frozen").trim() !== "",
    dark: root.dataset.theme === "dark",
    tunings: TUNING_NAMES.map((name) => ({ fill: get(name, "#b8c2d3"), ink: get(`${name}-ink`, "#1c2433") })),
    surface: get("surface", "#ffffff"),
    raised: get("raised", "#f8f9fc"),
    border: get("border", "#dfe3eb"),
    ink: get("ink", "#1a2233"),
    muted: get("muted", "#5f6b80"),
    accent: get("accent", "#2f5fd0"),
    focus: get("focus", "#2f5fd0"),
    grid: get("grid", "#e3e7ee"),
    ok: get("ok", "#0f7a58"),
    warning: get("warning", "#95600a"),
    failure: get("failure", "#b3261e"),
    series: [1, 2, 3, 4, 5, 6, 7, 8].map((n) => get(`series-${n}`, "#2f5fd0")),
    font: get("font", "system-ui, sans-serif"),
  };
}

// Nine stops of a perceptually even ramp (after viridis), dark to bright; turned round on a light ground.
const RAMP = [0x440154, 0x472d7b, 0x3b528b, 0x2c728e, 0x21918c, 0x28ae80, 0x5ec962, 0xaddc30, 0xfde725];
export const STEPS = 64;

/** The ramp in even steps; more is always further from the ground. */
export function ramp(dark: boolean): string[] {
  const stops = dark ? RAMP : [...RAMP].reverse();
  return Array.from({ length: STEPS }, (_, i) => {
    const at = (i / (STEPS - 1)) * (stops.length - 1);
    const [a, b] = [stops[Math.floor(at)] as number, stops[Math.min(stops.length - 1, Math.floor(at) + 1)] as number];
    const mix = (shift: number): number =>
      Math.round(((a >> shift) & 255) * (1 - (at % 1)) + ((b >> shift) & 255) * (at % 1));
    return `rgb(${mix(16)},${mix(8)},${mix(0)})`;
  });
}

/** Black or white, whichever reads better on a step of the ramp. */
export function inkOn(colour: string): string {
  const [r = 0, g = 0, b = 0] = (/\(([^)]+)\)/.exec(colour)?.[1] ?? "").split(",").map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 130 ? "#10131a" : "#ffffff";
}

/** Whether a colour from the style sheet is nearer to white than to black. */
export function isLight(colour: string): boolean {
  const [r = 0, g = 0, b = 0] = /^#[0-9a-f]{6}/i.test(colour)
    ? [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16))
    : [];
  return 0.299 * r + 0.587 * g + 0.114 * b > 130;
}
