/** What the tour shows, in order: a place on the page and one or two sentences on it. How it is shown is `tour.ts`. */
import { t } from "../language/words";

export interface Step {
  title: string;
  text: string;
  /** Where it is; the first of several that is there and can be seen. */
  places: readonly string[];
}

/** All steps, in the language that is spoken now. */
function steps(): Step[] {
  return [
    {
      title: t("Where the parameters are"),
      text: t(
        "Each tile is a module, as large as its parameters; colour, letter and pattern say what trains. Click to select, double-click or press Enter to go inside.",
      ),
      places: [".vf-mapcard"],
    },
    {
      title: t("Choose what trains"),
      text: t(
        "Freeze a part, train it in full or adapt it by LoRA, each at its own rate. The sentence at the top says it in words, and every change can be undone.",
      ),
      places: [".vf-controls"],
    },
    {
      title: t("What a step would take"),
      text: t(
        "The bar is the memory of one step, beside what your GPU has. It follows every choice; the lines below it say what would change it.",
      ),
      places: [".vf-cost"],
    },
    {
      title: t("A short burst of real training"),
      text: t(
        "Run takes real steps and draws loss and gradient norms as they come; Probe takes three and names what is not set up as meant. Afterwards you keep the result, or discard it and have every bit back.",
      ),
      places: [".vf-runbar"],
    },
    {
      title: t("Does it train?"),
      text: t(
        "Each part gets a verdict here: whether a gradient arrives and its weights move. A proof follows that no frozen tensor changed.",
      ),
      places: [".vf-burst .vf-verdicts", ".vf-burst"],
    },
    {
      title: t("Hand it over"),
      text: t(
        "Export writes the same choice for LLaMA-Factory, ms-swift, PEFT, TRL and others, and says what differs there. Import reads their settings.",
      ),
      places: [".vf-handover"],
    },
  ];
}

export interface Stop extends Step {
  place: HTMLElement;
}

/** The steps whose places this page has: a map alone has fewer. */
export function stops(root: HTMLElement): Stop[] {
  const shown = (element: HTMLElement): boolean => !element.closest("[hidden]");
  return steps().flatMap((step) => {
    const place = step.places
      .map((selector) => root.querySelector<HTMLElement>(selector))
      .find((element) => element && shown(element));
    return place ? [{ ...step, place }] : [];
  });
}
