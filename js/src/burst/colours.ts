/** Which colour a component's line has: the same in every plot and every burst, told apart also by people who see few hues. */
import { t } from "../language/words";

const PLACES: Record<string, number> = {
  vision_tower: 0,
  projector: 1,
  language_model: 2,
  embeddings: 3,
  head: 4,
  audio_tower: 5,
};

export function seriesColour(series: readonly string[], component: string, index: number): string {
  const place = PLACES[component] ?? 6 + (index % 2);
  return series[place % series.length] ?? "#2f5fd0";
}

const NAMES: Record<string, () => string> = {
  vision_tower: () => t("vision tower"),
  projector: () => t("projector"),
  language_model: () => t("language model"),
  embeddings: () => t("embeddings"),
  head: () => t("head"),
  audio_tower: () => t("audio tower"),
};

/** "language_model" as people say it, where the plan does not name it. */
export function labelOf(component: string): string {
  return NAMES[component]?.() ?? component.replace(/_/g, " ");
}
