// Learning curves, one figure a question; the most and the least accurate layout stand out.

const MOST_CURVES = 200;

function drawCurves(panel, title, trials, ends, width) {
  const all = trials.filter((trial) => trial.curve);
  if (!all.length) return null;
  const rank = (trial) => (trial.layout === ends.best ? 2 : trial.layout === ends.worst ? 1 : 0);
  const drawn = [...all].sort((a, b) => rank(b) - rank(a)).slice(0, MOST_CURVES).reverse();
  const height = Math.round(Math.max(240, Math.min(380, width * 0.55)));
  const values = drawn.flatMap((trial) => trial.curve).filter((value) => value > 0);
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const steps = panel.steps;
  const axes = frame(width, height, [0, steps[steps.length - 1] * 1.02], [low * 0.93, high * 1.05], {
    xTitle: "step", yTitle: "training loss (nats)", xText: compact, yText: (value) => number(value), log: true,
  });
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${title}: ${drawn.length} learning curves` }, axes.root);
  const lines = drawn.map((trial) => {
    const at = trial.curve.map((value, place) => (value > 0 ? `${axes.x(steps[place]).toFixed(1)} ${axes.y(value).toFixed(1)}` : null));
    const kind = ["", " worst", " best"][rank(trial)];
    const line = svg("path", { class: `curve${kind}`, d: `M${at.filter(Boolean).join("L")}`, role: "img" });
    const facts = [["seed", String(trial.seed)], ["loss at the end", number(trial.curve[trial.curve.length - 1])], ["test accuracy", percent(trial.accuracy)]];
    line.setAttribute("aria-label", `${trial.layout}: ${facts.map(([name, value]) => `${name} ${value}`).join("; ")}`);
    const show = (rect) => tip.show(rect, trial.layout, facts);
    line.addEventListener("focus", () => {
      const box = line.getBoundingClientRect();
      show(new DOMRect(box.right, box.bottom, 0, 0));
    });
    line.addEventListener("blur", tip.hide);
    const reach = svg("path", { d: line.getAttribute("d"), fill: "none", stroke: "transparent", "stroke-width": 9, "aria-hidden": "true" });
    reach.addEventListener("pointermove", (event) => {
      line.classList.add("near");
      show(new DOMRect(event.clientX, event.clientY, 0, 0));
    });
    reach.addEventListener("pointerleave", () => {
      line.classList.remove("near");
      tip.hide();
    });
    root.append(line, reach);
    return line;
  });
  walkable(root, [...lines].reverse());
  const rest = all.length - drawn.length;
  return { root, note: rest ? `${drawn.length} of ${all.length} curves drawn` : `${all.length} runs`, table: lossTable(panel, drawn.reverse()) };
}

function lossTable(panel, trials) {
  const places = [0.25, 0.5, 0.75, 1].map((share) => Math.max(0, Math.round(share * panel.steps.length) - 1));
  const heads = ["Layout", "Seed", ...places.map((place) => `step ${number(Math.round(panel.steps[place]))}`)];
  const body = trials.map((trial) =>
    html("tr", {}, html("th", { scope: "row" }, trial.layout), html("td", { class: "number" }, String(trial.seed)),
      ...places.map((place) => html("td", { class: "number" }, number(trial.curve[place])))),
  );
  const table = html("table", {}, html("caption", {}, "Training loss (nats) on the way"),
    html("thead", {}, html("tr", {}, ...heads.map((head) => html("th", { scope: "col" }, head)))), html("tbody", {}, ...body));
  return html("details", {}, html("summary", {}, "The same as a table"),
    html("div", { class: "scrolls", role: "region", tabindex: "0", "aria-label": "Training loss on the way" }, table));
}
