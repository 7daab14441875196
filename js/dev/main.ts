/** The bare page: `?theme=dark&widget=freezemap&layers=1200&run=34`. */
import freezemap from "../src/freezemap";
import monitor from "../src/monitor";
import workbench from "../src/workbench";
import { FakeKernel } from "./fake_kernel";
import { FakeModel } from "./fake_model";
import { llava, treeState } from "./fake_tree";

const query = new URLSearchParams(location.search);
const theme = query.get("theme") ?? "auto";
document.body.style.background = theme === "dark" ? "#11151d" : "#fff";
const tree = treeState(llava(Number(query.get("layers") ?? 32)));
const channel = new FakeModel({});
const model = new FakeModel({
  commands: "anywidget:fake",
  tree_state: tree,
  options: { height: Number(query.get("height") ?? 430), theme },
});
const kernel = new FakeKernel(model, channel, tree, Number(query.get("ms") ?? 120));
const widget = { workbench, freezemap, monitor }[query.get("widget") ?? "workbench"] ?? workbench;
widget.initialize({ model });
const start = performance.now();
widget.render?.({
  model,
  el: document.getElementById("here") as HTMLElement,
  host: { getModel: () => Promise.resolve(channel) },
});
requestAnimationFrame(() =>
  requestAnimationFrame(() => Object.assign(window, { firstPaint: performance.now() - start })),
);
if (query.has("run")) setTimeout(() => kernel.start(Number(query.get("run"))), 300);
Object.assign(window, { kernel, model, channel });
