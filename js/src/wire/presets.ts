/** The presets in the trait `handover_state`: groups of stages, each with what its source says. Decoding only. */
import { readNote, type Words } from "./handover";
import { list, record, text } from "../base/loose";

export interface Preset {
  name: string;
  label: string;
  /** Which parts train, and at which rates. */
  what: string;
  /** Batch, epochs, schedule, as far as the source says. */
  how: string;
  data: string;
  source: string;
  notes: Words[][];
}

export interface PresetGroup {
  title: string;
  source: string;
  /** A repository on GitHub, or "". */
  url: string;
  items: Preset[];
}

const REPOSITORY = /^https:\/\/github\.com\/[\w.-]+\/[\w.-]+$/;

export function readPresets(value: unknown): PresetGroup[] {
  const groups = list(record(value).presets).map((item) => {
    const group = record(item);
    const url = text(group.url);
    return {
      title: text(group.title),
      source: text(group.source),
      url: REPOSITORY.test(url) ? url : "",
      items: list(group.items).map(readPreset),
    };
  });
  return groups.filter(({ items }) => items.length > 0);
}

function readPreset(item: unknown): Preset {
  const p = record(item);
  return {
    name: text(p.name),
    label: text(p.label) || text(p.name),
    what: text(p.what),
    how: text(p.how),
    data: text(p.data),
    source: text(p.source),
    notes: list(p.notes).map(readNote),
  };
}

/** The preset of a name with its group. */
export function findPreset(
  groups: readonly PresetGroup[],
  name: string,
): { group: PresetGroup; preset: Preset } | null {
  for (const group of groups) for (const preset of group.items) if (preset.name === name) return { group, preset };
  return null;
}

/** What it is called where it stands alone: "LLaVA-1.5, pretrain", but "Projector alone". */
export function fullName({ group, preset }: { group: PresetGroup; preset: Preset }): string {
  return preset.name.startsWith("plain/") ? preset.label : `${group.title}, ${preset.label}`;
}
