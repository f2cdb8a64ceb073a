// Layouts drawn layer by layer, and calibrated weights.

function drawWidths(panel, entry, most, name, width) {
  const widths = entry.layout.split("-").map(Number);
  const [height, top] = [148, 18];
  const [room, ground] = [height - top - 16, height - 16];
  const step = Math.min(84, width / widths.length);
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name}: ${widths.map((size, place) => `${panel.groups[place] ?? place + 1} ${size}`).join(", ")}` });
  const names = panel.groups.length === widths.length && panel.groups.every((group) => group.length * 6.5 <= step) ? panel.groups : widths.map((_, place) => `w${place + 1}`);
  const sparse = Math.max(1, Math.ceil(24 / step));
  root.append(svg("line", { class: "axis", x1: 0, x2: step * widths.length, y1: ground, y2: ground }));
  widths.forEach((size, place) => {
    const tall = Math.max(3, Math.sqrt(size / most) * room); // square roots: beside 164 channels 2 are still a bar
    const bar = svg("rect", { class: "bar", x: place * step + step * 0.12, y: ground - tall, width: step * 0.76, height: tall, rx: Math.min(2.5, step / 6) });
    bar.append(svg("title", {}, `${panel.groups[place] ?? names[place]}: ${size}`));
    root.append(bar);
    if (place % sparse) return;
    const at = place * step + step / 2;
    root.append(svg("text", { class: "bar-label", x: at, y: ground - tall - 4, "text-anchor": "middle" }, number(size)));
    if (step >= 40) root.append(svg("text", { x: at, y: height - 1, "text-anchor": "middle" }, names[place]));
  });
  return root;
}

// Mean accuracy of every layout with one, the test's or validation's where that chooses, best first.
function ranked(trials) {
  const found = new Map();
  for (const trial of trials) {
    if (trial[CHOOSES] === null) continue;
    if (!found.has(trial.layout)) found.set(trial.layout, []);
    found.get(trial.layout).push(trial[CHOOSES]);
  }
  return [...found].map(([layout, values]) => ({ layout, runs: values.length, accuracy: mean(values) })).sort((a, b) => b.accuracy - a.accuracy);
}

function drawWeights(groups, width) {
  const [line, left, right] = [26, Math.min(140, width * 0.34), 16];
  const height = groups.length * line + 24;
  const values = groups.flatMap((group) => [group.weight, group.prior, group.low ?? group.weight, group.high ?? group.weight]);
  const [low, high] = padded([0, ...values], 0.04);
  const x = (value) => left + ((value - low) / (high - low)) * (width - left - right);
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  for (const value of niceTicks(low, high, width / 110)) {
    root.append(svg("line", { class: "gridline", x1: x(value), x2: x(value), y1: 0, y2: height - 18 }), svg("text", { x: x(value), y: height - 3, "text-anchor": "middle" }, number(value)));
  }
  groups.forEach((group, place) => {
    const y = place * line + line / 2;
    root.append(svg("text", { x: left - 10, y: y + 4, "text-anchor": "end" }, group.group.slice(-Math.floor(left / 7))));
    if (group.low !== null) root.append(svg("line", { class: "interval", x1: x(group.low), x2: x(group.high), y1: y, y2: y }));
    root.append(svg("line", { class: "before", x1: x(group.prior), x2: x(group.prior), y1: y - 9, y2: y + 9, "stroke-width": 2 }), svg("circle", { class: "value", cx: x(group.weight), cy: y, r: 5 }));
  });
  return root;
}
