/** The trait `data_state`: questions whose answers are watched, and rows of the data as the model gets them. Decoding only. */
import { column } from "./buffers";
import { finite, list, record, text } from "../base/loose";

export interface Question {
  prompt: string;
  target: string;
  /** A PNG file; empty without a picture. */
  picture: Uint8Array;
}

export interface Row {
  place: string;
  /** Text, and whether it is learned. */
  spans: [string, boolean][];
  pictures: Uint8Array[];
}

export interface DataState {
  questions: Question[];
  canPreview: boolean;
  preview: { number: number; first: number; report: string; rows: Row[] } | null;
}

export function readData(value: unknown): DataState {
  const state = record(value);
  const preview = state.preview ? record(state.preview) : null;
  return {
    questions: list(state.questions).map((item) => {
      const q = record(item);
      return { prompt: text(q.prompt), target: text(q.target), picture: column(Uint8Array, q.picture) };
    }),
    canPreview: state.can_preview === true,
    preview: preview && {
      number: finite(preview.number),
      first: finite(preview.first),
      report: text(preview.report),
      rows: list(preview.rows).map((item) => {
        const r = record(item);
        return {
          place: text(r.place),
          spans: list(r.spans).map((span) => {
            const [words, learned] = list(span);
            return [text(words), learned === true];
          }),
          pictures: list(r.pictures).map((picture) => column(Uint8Array, picture)),
        };
      }),
    },
  };
}
