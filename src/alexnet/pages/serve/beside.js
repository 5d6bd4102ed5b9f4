"use strict";
// Beside the answer: samples to try, the nearest images of an index, and what a broken constant does.
const Beside = {
  async samples() {
    const found = await App.request(`v1/samples?${new URLSearchParams({ model: $("model").value })}`).catch(() => null);
    const images = (found && found.images) || [];
    $("samples-box").hidden = !images.length;
    $("samples").replaceChildren(...images.map((source, i) => {
      const picture = make("img", { src: source, alt: "" });
      const button = make("button", { type: "button", "aria-label": t("sample", i + 1) }, picture);
      button.addEventListener("click", () => {
        const canvas = make("canvas", { width: picture.naturalWidth, height: picture.naturalHeight });
        canvas.getContext("2d").drawImage(picture, 0, 0);
        canvas.toBlob((blob) => App.take(blob), "image/png");
      });
      return button;
    }));
  },
  async look(turn) {
    const served = typeof Local === "undefined", indexed = Boolean(App.model().similar);
    $("lever").hidden = !served;
    $("broken").replaceChildren();
    $("broken-status").textContent = "";
    const found = indexed ? await App.ask("similar", { top_k: 6 }) : null;
    if (turn !== App.turn) return;
    $("similar").hidden = !found;
    if (!found) return;
    $("neighbors").replaceChildren(...found.neighbors.map(({ name, label, distance, image }) => {
      const shown = image ? [make("img", { src: image, alt: "" })] : [];
      return make("li", {}, ...shown, make("b", { text: label || name }), make("div", { class: "soft", text: t("distance", short(distance)) }));
    }));
  },
  async break() {
    const turn = App.turn;
    $("broken-status").textContent = t("looking");
    let found;
    try {
      const query = new URLSearchParams({ model: $("model").value, change: $("change").value });
      found = await App.request(`v1/what-if?${query}`, { method: "POST", body: App.image, headers: { "Content-Type": App.image.type || "application/octet-stream" } });
    } catch (error) {
      $("broken-status").textContent = error instanceof TypeError ? t("offline") : error.message;
      return;
    }
    if (turn !== App.turn) return;
    $("broken-status").textContent = "";
    const table = make("table"), percent = (score) => `${(score * 100).toFixed(1)} %`;
    const head = table.createTHead().insertRow();
    for (const text of [t("changed"), t("says5"), t("ofclass", found.label)]) head.append(make("th", { scope: "col", text }));
    const body = table.createTBody();
    for (const each of [found.before, ...found.after]) {
      const row = body.insertRow(), best = each.predictions[0];
      const answer = each.labels ? each.labels.join(", ") || t("nolabel") : `${best.label}, ${percent(best.score)}`;
      for (const text of [each.change || t("asitis"), answer, percent(each.score)]) row.insertCell().textContent = text;
    }
    $("broken").replaceChildren(table);
  },
};
