/** The command model's module. It has no view and does nothing: requests are sent by the pages that hold a reference to it. */
import type { Widget } from "./base/host";

const widget: Widget = { initialize: () => undefined };

export default widget;
