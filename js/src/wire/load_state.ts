/** The trait `load_state`: on which devices and in which dtypes weights could be loaded. Decoding only. */
import { finite, list, record, text } from "../base/loose";

export interface LoadState {
  devices: [device: string, words: string][];
  four_bits: boolean;
  /** dtype to bytes of all weights. */
  bytes: Record<string, number>;
}

export function readLoad(value: unknown): LoadState {
  const state = record(value);
  const devices = list(state.devices).map((item): [string, string] => [text(list(item)[0]), text(list(item)[1])]);
  return {
    devices: devices.length ? devices : [["", ""]],
    four_bits: state.four_bits !== false,
    bytes: Object.fromEntries(Object.entries(record(state.bytes)).map(([dtype, bytes]) => [dtype, finite(bytes)])),
  };
}
