/** Import and export on the wire: the trait `handover_state`, and the results of the requests that look at one. Decoding only. */
import { finite, list, oneOf, record, text, texts } from "../base/loose";

export interface TrainerName {
  key: string;
  name: string;
}

export interface HandoverState {
  trainers: TrainerName[];
  /** Below the working folder, proposed for saving. */
  folder: string;
}

export const KINDS = ["otherwise", "also", "not", "lr"] as const;
export type Kind = (typeof KINDS)[number];

/** Places of one component that train in one way before and in another after. */
export interface Difference {
  label: string;
  kind: Kind;
  before: string;
  after: string;
  tensors: number;
  params: number;
  places: string[];
  /** Places that are not named. */
  more: number;
  nodes: number[];
}

/** A piece of a note; `url` is "" or the address of an issue on GitHub. */
export interface Words {
  text: string;
  url: string;
}

export interface ImportPreview {
  trainer: string;
  name: string;
  sentence: string;
  trainable: [number, number];
  differences: Difference[];
  notes: Words[][];
  settings: [string, string][];
  warnings: string[];
}

export interface ExportPreview {
  trainer: string;
  name: string;
  exact: boolean;
  files: { name: string; text: string }[];
  /** Files in folders, which are saved with the others. */
  beside: string[];
  differences: Difference[];
  notes: Words[][];
  token: string;
}

export function readHandover(value: unknown): HandoverState {
  const state = record(value);
  const trainers = list(state.trainers).map((item) => {
    const { key, name } = record(item);
    return { key: text(key), name: text(name) || text(key) };
  });
  return { trainers: trainers.filter(({ key }) => key), folder: text(state.folder, "handover") };
}

export function readImport(value: unknown): ImportPreview {
  const look = record(value);
  const [before, after] = list(look.trainable_params);
  return {
    trainer: text(look.trainer),
    name: text(look.name),
    sentence: text(look.sentence),
    trainable: [finite(before), finite(after)],
    differences: list(look.differences).map(readDifference),
    notes: list(look.notes).map(readNote),
    settings: list(look.settings).map((pair) => [text(list(pair)[0]), text(list(pair)[1])]),
    warnings: texts(look.warnings),
  };
}

export function readExport(value: unknown): ExportPreview {
  const look = record(value);
  return {
    trainer: text(look.trainer),
    name: text(look.name),
    exact: look.exact === true,
    files: list(look.files).map((item) => ({ name: text(record(item).name), text: text(record(item).text) })),
    beside: texts(look.beside),
    differences: list(look.differences).map(readDifference),
    notes: list(look.notes).map(readNote),
    token: text(look.token),
  };
}

const ISSUE = /^https:\/\/github\.com\/[\w.-]+\/[\w.-]+\/(issues|pull)\/\d+$/;

/** A note in pieces; what is no issue on GitHub is text alone. */
export function readNote(value: unknown): Words[] {
  return list(value).map((piece) => {
    const url = text(list(piece)[1]);
    return { text: text(list(piece)[0]), url: ISSUE.test(url) ? url : "" };
  });
}

function readDifference(value: unknown): Difference {
  const d = record(value);
  return {
    label: text(d.label) || text(d.component),
    kind: oneOf(KINDS, d.kind),
    before: text(d.before),
    after: text(d.after),
    tensors: finite(d.tensors),
    params: finite(d.params),
    places: texts(d.places),
    more: finite(d.more),
    nodes: list(d.nodes).filter((node): node is number => Number.isInteger(node)),
  };
}
