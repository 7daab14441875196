/** A synthetic tree of the proportions of LLaVA-1.5-7B (about 700 nodes), or with more layers for measuring. */

interface Spec {
  name: string;
  cls: string;
  own?: number;
  lora?: boolean;
  component?: string;
  children?: Spec[];
}

const linear = (name: string, a: number, b: number, bias = true): Spec => ({
  name,
  cls: "Linear",
  own: a * b + (bias ? b : 0),
  lora: true,
});
const norm = (name: string, n: number): Spec => ({ name, cls: "LayerNorm", own: n });
const group = (name: string, cls: string, children: Spec[], more: Partial<Spec> = {}): Spec => ({
  name,
  cls,
  children,
  ...more,
});

function visionLayer(i: number): Spec {
  return group(String(i), "CLIPEncoderLayer", [
    group(
      "self_attn",
      "CLIPAttention",
      ["k_proj", "v_proj", "q_proj", "out_proj"].map((n) => linear(n, 1024, 1024)),
    ),
    norm("layer_norm1", 2048),
    group("mlp", "CLIPMLP", [linear("fc1", 1024, 4096), linear("fc2", 4096, 1024)]),
    norm("layer_norm2", 2048),
  ]);
}

function textLayer(i: number): Spec {
  return group(String(i), "LlamaDecoderLayer", [
    group(
      "self_attn",
      "LlamaAttention",
      ["q_proj", "k_proj", "v_proj", "o_proj"].map((n) => linear(n, 4096, 4096, false)),
    ),
    group("mlp", "LlamaMLP", [
      linear("gate_proj", 4096, 11008, false),
      linear("up_proj", 4096, 11008, false),
      linear("down_proj", 11008, 4096, false),
    ]),
    norm("input_layernorm", 4096),
    norm("post_attention_layernorm", 4096),
  ]);
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

export function llava(layers = 32): Spec {
  return group("", "LlavaForConditionalGeneration", [
    group("model", "LlavaModel", [
      group(
        "vision_tower",
        "CLIPVisionModel",
        [
          group("vision_model", "CLIPVisionTransformer", [
            group("embeddings", "CLIPVisionEmbeddings", [
              { name: "class_embedding", cls: "Parameter", own: 1024 },
              { name: "patch_embedding", cls: "Conv2d", own: 602112 },
              { name: "position_embedding", cls: "Embedding", own: 590848 },
            ]),
            norm("pre_layrnorm", 2048),
            group("encoder", "CLIPEncoder", [group("layers", "ModuleList", range(24).map(visionLayer))]),
            norm("post_layernorm", 2048),
          ]),
        ],
        { component: "vision_tower" },
      ),
      group(
        "multi_modal_projector",
        "LlavaMultiModalProjector",
        [linear("linear_1", 1024, 4096), linear("linear_2", 4096, 4096)],
        { component: "projector" },
      ),
      group(
        "language_model",
        "LlamaModel",
        [
          { name: "embed_tokens", cls: "Embedding", own: 32064 * 4096, lora: true, component: "embeddings" },
          group("layers", "ModuleList", range(layers).map(textLayer)),
          norm("norm", 4096),
        ],
        { component: "language_model" },
      ),
    ]),
    { name: "lm_head", cls: "Linear", own: 32064 * 4096, lora: true, component: "head" },
  ]);
}

const ORDER = ["vision_tower", "projector", "language_model", "embeddings", "head"];

/** The trait `tree_state` of a tree. */
export function treeState(root: Spec, title = "llava-1.5-7b"): Record<string, unknown> {
  const names: string[] = [],
    classes: string[] = [],
    parent: number[] = [],
    cls: number[] = [],
    own: number[] = [],
    component: number[] = [],
    kind: number[] = [],
    lora: number[] = [];
  const tops = new Map<string, number[]>();
  let layersOf: Record<string, number> = {};
  const visit = (spec: Spec, above: number, owner: string | undefined): void => {
    const id = names.length;
    const mine = spec.component ?? owner;
    if (spec.component) tops.set(spec.component, [...(tops.get(spec.component) ?? []), id]);
    if (spec.name === "layers" && mine) layersOf = { ...layersOf, [mine]: id };
    names.push(spec.name);
    if (!classes.includes(spec.cls)) classes.push(spec.cls);
    cls.push(classes.indexOf(spec.cls));
    parent.push(above);
    own.push(spec.own ?? 0);
    component.push(mine ? ORDER.indexOf(mine) : -1);
    kind.push(spec.cls === "Parameter" ? 1 : 0);
    lora.push(spec.lora ? 1 : 0);
    for (const child of spec.children ?? []) visit(child, id, mine);
  };
  visit(root, -1, undefined);
  const ownedBy = (name: string): number =>
    own.reduce((sum, value, i) => sum + (component[i] === ORDER.indexOf(name) ? value : 0), 0);
  const view = (array: ArrayBufferView): DataView => new DataView(array.buffer);
  return {
    v: 1,
    title,
    dtype: "bfloat16",
    device: "cuda:0",
    total_params: own.reduce((sum, value) => sum + value, 0),
    names,
    classes,
    tied: [],
    folds: names.flatMap((name, i) => (name === "layers" ? [[i, 0, parent.filter((p) => p === i).length, 1]] : [])),
    components: ORDER.filter((name) => tops.has(name)).map((name) => ({
      name,
      label: name.replace("_", " "),
      nodes: tops.get(name),
      params: ownedBy(name),
      blocks:
        name in layersOf ? { node: layersOf[name], count: parent.filter((p) => p === layersOf[name]).length } : null,
    })),
    sorts: own.map((params, i) => [cls[i], params, 2 * params, component[i], kind[i], lora[i]]),
    parent: view(Int32Array.from(parent)),
    name: view(Uint32Array.from(names.keys())),
    sort: view(Uint32Array.from(names.keys())),
  };
}
