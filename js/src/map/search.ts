/** The search box's language: words separated by commas or spaces, each a part of a path; all of them must be there. */
import type { DisplayTree } from "../tree/display_tree";

/** Items whose path or class contains every word; null for an empty query. The topmost of a nest of matches is enough. */
export function search(display: DisplayTree, query: string): Set<number> | null {
  const words = query
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean);
  if (!words.length) return null;
  const found = new Set<number>();
  for (const item of display.items) {
    if (item.id === 0 || found.has(item.parent)) {
      if (item.id !== 0) found.add(item.id);
      continue;
    }
    const path =
      `${display.item(componentOf(display, item.id)).label} ${display.pathOf(item.id)} ${item.label}`.toLowerCase();
    const name = item.node >= 0 ? display.tree.className(item.node).toLowerCase() : "";
    if (words.every((word) => matches(path, word) || name === word)) found.add(item.id);
  }
  return found;
}

/** How many separate things match: those whose parent does not. */
export function tops(display: DisplayTree, matches: ReadonlySet<number>): number[] {
  return [...matches].filter((id) => !matches.has(display.item(id).parent));
}

function componentOf(display: DisplayTree, id: number): number {
  return display.trail(id)[0]?.id ?? 0;
}

/** "layers.3" means layer 3 and neither 31 nor 13: where a word begins or ends in a digit, the path's number does too. */
function matches(path: string, word: string): boolean {
  const digit = (letter: string | undefined): boolean => letter !== undefined && letter >= "0" && letter <= "9";
  const [first, last] = [digit(word[0]), digit(word[word.length - 1])];
  for (let at = path.indexOf(word); at >= 0; at = path.indexOf(word, at + 1)) {
    if (!(first && digit(path[at - 1])) && !(last && digit(path[at + word.length]))) return true;
  }
  return false;
}
