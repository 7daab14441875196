/** The guided tour. */
export const CHINESE_TOUR: Readonly<Record<string, string>> = {
  "Where the parameters are": "参数在哪里",
  "Each tile is a module, as large as its parameters; colour, letter and pattern say what trains. Click to select, double-click or press Enter to go inside.":
    "每个方块是一个模块，大小对应参数量；颜色、字母和花纹表示训练方式。单击选中，双击或按 Enter 进入内部。",
  "Choose what trains": "选择训练哪些部分",
  "Freeze a part, train it in full or adapt it by LoRA, each at its own rate. The sentence at the top says it in words, and every change can be undone.":
    "每个部分都可以冻结、全量训练或用 LoRA，并各有学习率。顶部的一句话概括当前策略，每次改动都能撤销。",
  "What a step would take": "一步要多少开销",
  "The bar is the memory of one step, beside what your GPU has. It follows every choice; the lines below it say what would change it.":
    "色条表示单步所需显存与你的 GPU 显存之比，随每次选择更新；下方说明哪些设置能改变它。",
  "A short burst of real training": "一次真实的短训",
  "Run takes real steps and draws loss and gradient norms as they come; Probe takes three and names what is not set up as meant. Afterwards you keep the result, or discard it and have every bit back.":
    "“运行”会真实训练若干步，并实时绘制 loss 和梯度范数；“探测”训练三步，指出哪里的设置与预期不符。结束后可保留结果，也可放弃并逐比特还原。",
  "Each part gets a verdict here: whether a gradient arrives and its weights move. A proof follows that no frozen tensor changed.":
    "这里给出每个部分的判定：梯度是否到达、权重是否更新。随后还会证明冻结的张量没有改变。",
  "Hand it over": "对接正式训练",
  "Export writes the same choice for LLaMA-Factory, ms-swift, PEFT, TRL and others, and says what differs there. Import reads their settings.":
    "“导出”把同样的选择写成 LLaMA-Factory、ms-swift、PEFT、TRL 等框架的配置，并说明有何差异；“导入”读取它们的配置。",
  "Tour of this page": "页面导览",
  "New here? A tour in {count} steps.": "第一次使用？{count} 步了解本页。",
  Start: "开始",
  "Not now": "以后再说",
  Back: "上一步",
  Next: "下一步",
  Done: "完成",
  "End the tour (Esc)": "结束导览（Esc）",
  "End the tour": "结束导览",
  "{step} of {count}": "{step} / {count}",
};
