/** The page's words in Chinese, by their English; one table per part of the page. */
import { CHINESE_BURST } from "./chinese_burst";
import { CHINESE_COMPARE } from "./chinese_compare";
import { CHINESE_CONTROLS } from "./chinese_controls";
import { CHINESE_COST } from "./chinese_cost";
import { CHINESE_HANDOVER } from "./chinese_handover";
import { CHINESE_MAP } from "./chinese_map";
import { CHINESE_PARTS } from "./chinese_parts";
import { CHINESE_RUNS } from "./chinese_runs";
import { CHINESE_STAGES } from "./chinese_stages";
import { CHINESE_TOUR } from "./chinese_tour";
import { CHINESE_WORDS } from "./chinese_words";

export const CHINESE: Readonly<Record<string, string>> = {
  ...CHINESE_BURST,
  ...CHINESE_COMPARE,
  ...CHINESE_CONTROLS,
  ...CHINESE_COST,
  ...CHINESE_HANDOVER,
  ...CHINESE_MAP,
  ...CHINESE_PARTS,
  ...CHINESE_RUNS,
  ...CHINESE_STAGES,
  ...CHINESE_TOUR,
  ...CHINESE_WORDS,
};
