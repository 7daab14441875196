/** Bringing the weights of a model that was only planned so far: in which dtype, on which device. The progress is the run bar's. */
import { size } from "../format";
import { t } from "../language/words";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";

const dtypes = (): [string, string][] => [
  ["auto", t("as stored")],
  ["bfloat16", "bfloat16"],
  ["float16", "float16"],
  ["float32", "float32"],
  ["4bit", t("4 bits (QLoRA)")],
];

export function loadForm(view: View): HTMLElement {
  const { page } = view;
  const select = (label: string): HTMLSelectElement =>
    h("select.vf-select", { "aria-label": label, "data-lm-suppress-shortcuts": "true" });
  const [dtype, device] = [select(t("Load weights as")), select(t("Load weights on"))];
  const load = h(
    "button.vf-button.vf-primary",
    {
      type: "button",
      "data-act": "load",
      onclick: () => void page.request("load", { dtype: dtype.value, device: device.value }),
    },
    t("Load weights"),
  );
  const element = h(
    "div.vf-load",
    { role: "group", "aria-label": t("Load weights") },
    load,
    h("label.vf-stepslabel", {}, "dtype", dtype),
    h("label.vf-stepslabel", {}, t("device"), device),
  );
  let last = "";
  const draw = (): void => {
    const { run, loading } = page;
    element.hidden = !run?.can_load;
    load.disabled = dtype.disabled = device.disabled = !page.alive;
    const key = JSON.stringify(loading);
    if (key === last) return;
    last = key;
    const words = (name: string, plain: string): string =>
      `${plain}${loading.bytes[name] ? ` · ${size(loading.bytes[name])}` : ""}`;
    fill(
      dtype,
      ...dtypes().map(([value, plain]) =>
        h(
          "option",
          { value, disabled: value === "4bit" && !loading.four_bits },
          value === "4bit" && !loading.four_bits ? t("4 bits: needs bitsandbytes") : words(value, plain),
        ),
      ),
    );
    fill(device, ...loading.devices.map(([value, plain]) => h("option", { value }, plain || t("the best device"))));
    dtype.title = t(
      "4 bits: the language model in NF4; the vision tower and the projector stay in bfloat16 and can train in full",
    );
  };
  draw();
  page.on(["run", "connection"], draw, view.signal);
  return element;
}
