/** A report's page is made from the JSON in it, on a model to which nothing can be sent. */
import { afterEach, expect, it, vi } from "vitest";
import type { Widget } from "../src/base/host";
import { openReport, revive, StillModel } from "../src/report/still_model";

afterEach(() => document.body.replaceChildren());

function written(state: unknown): void {
  const main = document.createElement("main");
  main.className = "vf";
  const place = document.createElement("div");
  place.id = "vf-report";
  const script = document.createElement("script");
  script.type = "application/json";
  script.id = "vf-report-state";
  script.textContent = JSON.stringify(state);
  main.append(place);
  document.body.append(main, script);
}

it("turns base64 into views and leaves all else as it is", () => {
  const read = revive({
    a: [{ base64: btoa("\u0001\u0002") }, null, 3],
    b: { base64: 5 },
    c: { base64: "AA==", d: 1 },
  }) as Record<string, unknown>;
  const [view] = read.a as [DataView];
  expect([view.getUint8(0), view.getUint8(1)]).toEqual([1, 2]);
  expect(read.b).toEqual({ base64: 5 });
  expect(read.c).toEqual({ base64: "AA==", d: 1 });
});

it("shows traits first, then tells the rows, then draws, and is light on paper", () => {
  written({
    traits: { title: "<b>", options: { theme: "auto" } },
    messages: [{ content: { kind: "rows" }, buffer: { base64: "AA==" } }],
  });
  const order: unknown[] = [];
  const widget: Widget = {
    initialize: ({ model }) => {
      order.push(model.get("title"));
      model.on("msg:custom", (content, buffers) => order.push(content, (buffers as DataView[])[0]?.byteLength));
      model.on("change:options", () => order.push((model.get("options") as { theme: string }).theme));
    },
    render: () => void order.push("drawn"),
  };
  openReport(widget);
  expect(order).toEqual(["<b>", { kind: "rows" }, 1, "drawn"]);
  window.dispatchEvent(new Event("beforeprint"));
  expect(document.querySelector("main")?.dataset.theme).toBe("light");
  window.dispatchEvent(new Event("afterprint"));
  expect(order.slice(4)).toEqual(["light", "auto"]);
});

it("does nothing on a page that is no report", () => {
  const initialize = vi.fn();
  openReport({ initialize });
  expect(initialize).not.toHaveBeenCalled();
});

it("stops telling whoever asked not to be told", () => {
  const model = new StillModel({});
  const heard = vi.fn();
  model.on("x", heard);
  model.tell("x", 1);
  model.off("x", heard);
  model.tell("x", 2);
  expect(heard.mock.calls).toEqual([[1]]);
});
