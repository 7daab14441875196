/** Pointer and keyboard on the treemap: what each does to the view's state. Painting follows by itself. */
import { t } from "../language/words";
import type { View } from "../parts/view";
import { onActionKey } from "./actions";
import type { CanvasMap } from "./canvas_map";
import { sentence } from "./describe";
import { hit, neighbour, type Direction } from "./geometry";
import type { Box } from "./layout";
import type { MapState } from "./map_state";
import { tooltip } from "./tooltip";

const ARROWS: Record<string, Direction> = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

export function mapInput(view: View, state: MapState, map: CanvasMap): void {
  const { element } = map;
  const tip = tooltip(view, state, element);
  const at = (event: MouseEvent): Box | null => {
    const rect = element.getBoundingClientRect();
    return hit(
      state.display,
      state.zoom,
      map.layout,
      event.clientX - rect.left - element.clientLeft,
      event.clientY - rect.top - element.clientTop,
    );
  };

  element.addEventListener("pointermove", (event) => {
    const box = at(event);
    state.hoverOn(box?.id ?? -1);
    if (!box) return tip.hide();
    const rect = element.getBoundingClientRect();
    tip.show(box.id, event.clientX - rect.left, event.clientY - rect.top);
  });
  element.addEventListener("pointerleave", () => {
    state.hoverOn(-1);
    tip.hide();
  });
  element.addEventListener("pointerdown", () => keyboard(false));
  element.addEventListener("click", (event) => {
    const box = at(event);
    if (!box) return state.select([]);
    if (event.shiftKey) state.extend(box.id);
    else if (event.ctrlKey || event.metaKey) state.toggle(box.id);
    else state.select([box.id]);
    state.focusOn(box.id);
  });
  element.addEventListener("dblclick", (event) => {
    const box = at(event);
    if (box && !unfold(box.id)) zoomTo(box.id);
  });
  element.addEventListener("focus", () => {
    if (!map.layout.of.has(state.focus)) state.focusOn(map.layout.boxes[0]?.id ?? -1);
    map.refresh();
  });
  element.addEventListener("blur", () => keyboard(false));
  element.addEventListener("keydown", (event) => {
    keyboard(true);
    if (!onActionKey(view, state, event) && !onMoveKey(event)) return;
    event.preventDefault();
    event.stopPropagation();
  });
  state.on(
    ["focus", "selection"],
    () => {
      if (state.focus > 0 && view.root.ownerDocument.hasFocus() && map.keyboard)
        view.announce(sentence(view, state, state.focus));
    },
    view.signal,
  );

  function keyboard(on: boolean): void {
    if (map.keyboard === on) return;
    map.keyboard = on;
    map.refresh();
  }

  function zoomTo(id: number): void {
    tip.hide();
    const before = state.zoom;
    state.zoomTo(id);
    if (state.zoom === before) return;
    const first = state.display.item(state.zoom).children[0];
    state.focusOn(state.display.trail(id).some((item) => item.id === id && id !== state.zoom) ? id : (first ?? -1));
    view.announce(t("Inside {name}", { name: state.display.item(state.zoom).label || t("model") }));
  }

  function unfold(id: number): boolean {
    const times = state.display.item(id).fold?.times;
    if (!state.unfold(id)) return false;
    tip.hide();
    view.announce(t("{count} blocks, one by one", { count: times ?? 0 }));
    return true;
  }

  function zoomOut(): void {
    const was = state.zoom;
    if (state.zoomOut()) {
      state.focusOn(was);
      view.announce(t("Inside {name}", { name: state.display.item(state.zoom).label || t("model") }));
    } else state.select([]);
  }

  function move(to: Box | null | undefined, event: KeyboardEvent): void {
    if (!to) return;
    if (event.shiftKey) state.select([...state.selected, state.focus, to.id].filter((id) => id > 0));
    else if (!event.ctrlKey && !event.metaKey) state.select([to.id]);
    state.focusOn(to.id);
  }

  function onMoveKey(event: KeyboardEvent): boolean {
    const { boxes, of } = map.layout;
    const here = of.get(state.focus);
    const direction = ARROWS[event.key];
    if (direction) {
      move(here ? neighbour(map.layout, here, direction) : boxes[0], event);
      return true;
    }
    switch (event.key) {
      case "Enter":
        if (here && !unfold(here.id)) zoomTo(here.id);
        return true;
      case "+":
        if (here) unfold(here.id);
        return true;
      case "-":
        if (here && state.refold(here.id)) view.announce(sentence(view, state, state.focus));
        return true;
      case "Escape":
      case "Backspace":
        zoomOut();
        return true;
      case " ":
        if (here) state.toggle(here.id);
        return true;
      case "PageDown":
        move(here && boxes.find((box) => state.display.item(box.id).parent === here.id), event);
        return true;
      case "PageUp":
        move(here && of.get(state.display.item(here.id).parent), event);
        return true;
      case "Home":
        move(boxes[0], event);
        return true;
      case "End":
        move(boxes.filter((box) => box.level === 1).pop(), event);
        return true;
      default:
        return false;
    }
  }
}
