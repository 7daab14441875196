/** Which colour a component's line has: the same in every plot and every burst, told apart also by people who see few hues. */

const PLACES: Record<string, number> = { vision_tower: 0, projector: 1, language_model: 2, embeddings: 3, head: 4, audio_tower: 5 };

export function seriesColour(series: readonly string[], component: string, index: number): string {
  const place = PLACES[component] ?? 6 + (index % 2);
  return series[place % series.length] ?? "#2f5fd0";
}

/** "language_model" as people say it, where the plan does not name it. */
export function labelOf(component: string): string {
  return component.replace(/_/g, " ");
}
