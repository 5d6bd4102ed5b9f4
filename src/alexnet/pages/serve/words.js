"use strict";
// The page's words. The names of classes, layers and models come from the model and stay as they are.
const WORDS = {
  en: {
    skip: "Skip to the answer", model: "Model", beside: "Beside it", none: "none", give: "An image", choose: "Choose an image",
    camera: "Use the camera", drop: "or drop one here, or paste it", shoot: "Take the picture", draw: "Draw a digit",
    padhelp: "With the mouse or a finger; with the keyboard: arrows move, space draws.", clear: "Clear", samples: "Samples",
    answer: "What the network says", waiting: "Nothing yet: give it an image.", heat: "Where it looked (Grad-CAM)",
    layers: "The image through the layers", number: "How that number came about", back: "Back one step", next: "Next step",
    play: "Play", pause: "Pause", step: "Step",
    api: "The API", looking: "Looking …", says: "{0}: {1}, {2}",
    names: "{0}: {1}", namesnone: "{0}: no label reaches its threshold", nolabel: "no label", threshold: "threshold {0}",
    given: "given: at least {0}", notgiven: "not given: below {0}", nocamera: "The camera cannot be used here.",
    notimage: "This is not an image.", toolarge: "An image may have at most {0} pixels.", offline: "The server does not answer.", padname: "Drawing pad",
    facts: "{0}: shape {1}, values {2} to {3}, {4} of them zero", shown: "the first {0} maps",
    map: "map {0} of {1}", pickpixel: "Click a pixel to see how its value came about (keyboard: arrows, then Enter).",
    place: "{0} at {1} = {2}", input: "input", weight: "weight", product: "product", sum: "running sum", channel: "channel {0} of the layer below",
    others: "the other terms together: {0}", token: "This server wants a token:", same: "unchanged", now: "now", before: "before",
    similar: "Nearest images of the index", sample: "Sample {0}", lever: "What if a constant were wrong?", change: "Change",
    break: "Break it", breakhelp: "For example mean=0, channels=BGR or lrn.alpha=1; leave it empty for the usual mistakes.",
    changed: "changed", asitis: "as it is", says5: "answer", ofclass: "{0} gets", distance: "distance {0}",
    pickunit: "Click a unit to see how its value came about.",
  },
  zh: {
    skip: "跳到结果", model: "模型", beside: "对比模型", none: "无", give: "一张图片", choose: "选择图片",
    camera: "使用摄像头", drop: "也可以拖到这里，或直接粘贴", shoot: "拍照", draw: "写一个数字",
    padhelp: "用鼠标或手指书写；键盘：方向键移动，空格键落笔。", clear: "清除", samples: "示例",
    answer: "网络的判断", waiting: "还没有图片。", heat: "网络关注的位置（Grad-CAM）",
    layers: "图片逐层经过网络", number: "这个数是怎么算出来的", back: "上一步", next: "下一步",
    play: "播放", pause: "暂停", step: "步骤",
    api: "API 文档", looking: "正在识别……", says: "{0}：{1}，{2}",
    names: "{0}：{1}", namesnone: "{0}：没有标签达到阈值", nolabel: "没有标签", threshold: "阈值 {0}",
    given: "给出：不低于 {0}", notgiven: "不给出：低于 {0}", nocamera: "这里无法使用摄像头。",
    notimage: "这不是图片。", toolarge: "图片最多 {0} 像素。", offline: "服务器没有响应。", padname: "手写板",
    facts: "{0}：形状 {1}，数值 {2} 到 {3}，其中 {4} 为零", shown: "前 {0} 个特征图",
    map: "第 {0} 个特征图，共 {1} 个", pickpixel: "点击一个像素，查看它的值是怎么算出来的（键盘：方向键，然后回车）。",
    place: "{0} 在 {1} 处 = {2}", input: "输入", weight: "权重", product: "乘积", sum: "累加", channel: "下层第 {0} 通道",
    others: "其余各项之和：{0}", token: "此服务器需要令牌：", same: "不变", now: "现在", before: "原来",
    similar: "索引中最相近的图片", sample: "示例 {0}", lever: "如果某个常数错了会怎样？", change: "改动",
    break: "试一试", breakhelp: "例如 mean=0、channels=BGR 或 lrn.alpha=1；留空则尝试常见的错误。",
    changed: "改动", asitis: "原样", says5: "判断", ofclass: "{0} 的概率", distance: "距离 {0}",
    pickunit: "点击一个单元，查看它的值是怎么算出来的。",
  },
};
let language = (navigator.language || "en").startsWith("zh") ? "zh" : "en";
function t(key, ...values) {
  return WORDS[language][key].replace(/\{(\d)\}/g, (_, i) => values[i]);
}
function speak() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  const other = document.getElementById("language");
  if (other) { other.textContent = language === "zh" ? "English" : "中文"; other.lang = language === "zh" ? "en" : "zh"; }
}
