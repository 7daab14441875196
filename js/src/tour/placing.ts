/** Where the card of a step stands: beside the place that it speaks of, without covering it where there is room, inside the page. Pure. */

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

const GAP = 10;

/** Left and top of a card in the page's own coordinates, all in CSS pixels. */
export function placed(
  place: Box,
  card: { width: number; height: number },
  page: { width: number; height: number },
): { left: number; top: number } {
  const [right, bottom] = [place.left + place.width, place.top + place.height];
  const within = (value: number, most: number): number => Math.max(GAP, Math.min(value, most - GAP));
  const top = within(place.top, page.height - card.height);
  if (right + GAP + card.width <= page.width - GAP) return { left: right + GAP, top };
  if (place.left - GAP - card.width >= GAP) return { left: place.left - GAP - card.width, top };
  const left = within(place.left, page.width - card.width);
  if (bottom + GAP + card.height <= page.height - GAP) return { left, top: bottom + GAP };
  if (place.top - GAP - card.height >= GAP) return { left, top: place.top - GAP - card.height };
  return {
    left: within(right - card.width, page.width - card.width),
    top: within(bottom - card.height, page.height - card.height),
  };
}
