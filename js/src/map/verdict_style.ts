/** Tiles by what the last probe found of them: all links whole, some broken, none whole, or nothing meant to train. Pure. */
import type { LinkCounts } from "./link_counts";
import { t } from "../language/words";
import type { FoldedTree } from "../tree/folded_tree";
import { NONE } from "../wire/plan_state";
import { isLight, type Palette } from "../parts/palette";
import type { TileStyle, TileStyles } from "./tile_style";

/** By verdict: the mark, and the words of the legend. */
export const VERDICT_MARKS = ["✓", "!", "✗"] as const;
export const verdictWords = (): string[] => [t("every tensor does what was wanted"), t("some do not"), t("none does")];

export function verdictStyles(display: FoldedTree, counts: LinkCounts | null, palette: Palette): TileStyles {
  const fills = [palette.ok, palette.warning, palette.failure];
  const styles = fills.map(
    (fill, i): TileStyle => ({
      fill,
      ink: isLight(fill) ? "#10131a" : "#ffffff",
      pattern: i === 0 ? "plain" : i === 1 ? "hatch" : "cross",
      letter: VERDICT_MARKS[i] as string,
    }),
  );
  styles.push({ ...(palette.tunings[NONE] as { fill: string; ink: string }), pattern: "plain", letter: "" });
  return { styles, of: (id) => counts?.verdict(display, id) ?? 3, range: null };
}
