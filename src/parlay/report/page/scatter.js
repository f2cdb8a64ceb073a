// Costs and scores against accuracy, one figure a question.

const ACROSS = {
  energy: { title: "energy (Eq. 3)", text: (value) => number(value) },
  path_energy: { title: "path energy", text: (value) => number(value) },
  macs: { title: "multiply-adds per image", text: compact },
  params: { title: "parameters", text: compact },
  peak_activation_bytes: { title: "peak activation memory (bytes, int8)", text: compact },
};
const UP = {
  validation_accuracy: "validation accuracy (%)",
  accuracy: "test accuracy (%)",
  mean_average_precision: "mean average precision (%)",
};

function acrossTitle(key, panel) {
  const logged = panel.energy_is_log && key.endsWith("energy");
  return logged ? `ln ${ACROSS[key].title}` : ACROSS[key].title;
}

// Trials as marks: one a layout, its runs averaged, or one a run; runs without a result apart.
function gathered(panel, trials, { x, y, each }) {
  const groups = new Map();
  for (const trial of trials) {
    const has = trial[y] !== null;
    const key = `${trial.layout} ${has} ${each === "run" || !has ? trial.seed + trial.status : ""}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(trial);
  }
  const marks = [];
  for (const runs of groups.values()) {
    const first = runs[0];
    if (first[x] === null || first[x] === undefined) continue;
    const values = runs.map((run) => run[y]).filter((value) => value !== null);
    marks.push({
      runs, first, x: first[x], arm: panel.arms[first.layout], top: runs.some((run) => run.kind === "top"), lost: !values.length,
      y: values.length ? mean(values) : null, low: Math.min(...values), high: Math.max(...values),
    });
  }
  return marks.sort((a, b) => a.x - b.x || (a.y ?? -1) - (b.y ?? -1));
}

function factsOf(mark, panel, y) {
  const { first, runs } = mark;
  const seeds = runs.map((run) => run.seed).sort((a, b) => a - b).join(", ");
  const facts = mark.arm ? [["arm", mark.arm.words]] : [];
  if (mark.lost) facts.push(["status", first.status], ...(first.error ? [["error", first.error.slice(0, 160)]] : []));
  else facts.push([UP[y].replace(" (%)", ""), percent(mark.y)]);
  if (runs.length > 1) facts.push(["range", `${fixed(100 * mark.low, 2)} to ${percent(mark.high)}`]);
  facts.push([runs.length > 1 ? `${runs.length} runs, seeds` : "seed", seeds]);
  for (const key of Object.keys(ACROSS)) {
    if (first[key] !== null) facts.push([acrossTitle(key, panel).replace(" (Eq. 3)", "").replace(" per image", "").replace("activation memory (bytes, int8)", "memory, bytes"), number(first[key])]);
  }
  if (first.kind) facts.push(["chosen as", first.kind]);
  return facts;
}

function shapeOf(mark, at, up, size) {
  if (mark.lost) return svg("path", { class: "point lost", d: `M${at - 4} ${up - 4}l8 8m0 -8l-8 8` });
  const misfit = mark.arm && !mark.arm.fits ? " misfit" : "";
  if (!mark.top) return svg("circle", { class: `point${misfit}`, cx: at, cy: up, r: size });
  const wide = size * 1.35;
  return svg("path", { class: `point top${misfit}`, d: `M${at} ${up - wide}l${wide} ${wide}l${-wide} ${wide}l${-wide} ${-wide}z` });
}

function drawScatter(panel, title, trials, options, width) {
  const marks = gathered(panel, trials, options);
  const lost = marks.filter((mark) => mark.lost);
  const found = marks.filter((mark) => !mark.lost);
  const height = Math.round(Math.max(260, Math.min(460, width * 0.62)));
  const axes = frame(
    width, height, padded(marks.map((mark) => mark.x), 0.07),
    padded(found.flatMap((mark) => [100 * mark.low, 100 * mark.high]), 0.1),
    {
      xTitle: acrossTitle(options.x, panel), yTitle: UP[options.y], xText: ACROSS[options.x].text,
      yText: (value) => number(value), below: lost.length ? 24 : 0,
    },
  );
  const label = `${title}: ${found.length} marks, ${acrossTitle(options.x, panel)} against ${UP[options.y]}`;
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label }, axes.root);
  const shapes = marks.map((mark) => {
    mark.at = axes.x(mark.x);
    mark.up = mark.lost ? axes.bottom + 12 : axes.y(100 * mark.y);
    if (mark.high > mark.low) {
      root.append(svg("line", { class: mark.top ? "range top" : "range", x1: mark.at, x2: mark.at, y1: axes.y(100 * mark.low), y2: axes.y(100 * mark.high) }));
    }
    const shape = shapeOf(mark, mark.at, mark.up, marks.length > 300 ? 3.6 : 5);
    const facts = factsOf(mark, panel, options.y);
    shape.setAttribute("role", "img");
    shape.setAttribute("data-layout", mark.first.layout);
    shape.setAttribute("aria-label", `${mark.first.layout}: ${facts.map(([name, value]) => `${name} ${value}`).join("; ")}`);
    shape.addEventListener("focus", () => tip.show(shape.getBoundingClientRect(), mark.first.layout, facts));
    shape.addEventListener("blur", tip.hide);
    mark.shape = shape;
    mark.facts = facts;
    return shape;
  });
  root.append(...marks.filter((mark) => !mark.top).map((mark) => mark.shape), ...marks.filter((mark) => mark.top).map((mark) => mark.shape));
  root.append(...named(found, axes));
  if (lost.length) root.append(svg("text", { x: axes.left - 8, y: axes.bottom + 16, "text-anchor": "end", "aria-hidden": "true" }, "none"));
  if (!found.length) root.append(svg("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "nothing to draw here"));
  pointable(root, marks);
  walkable(root, shapes);
  return root;
}

// Names of arms, or at the most accurate mark and at both ends: each at the first place around its mark that is nearer
// to it than to any other mark, covers no mark, range or name and lies inside the figure; none where there is no such
// place, since a name beside another's mark is read as the other's.
const DIRECTIONS = [0, 180, 20, 160, 340, 200, 45, 135, 315, 225, 90, 270];

function named(marks, axes) {
  if (!marks.length) return [];
  const best = marks.reduce((a, b) => (b.y > a.y ? b : a));
  const ends = [best, marks[0], marks[marks.length - 1]];
  const taken = [];
  const away = (box, mark) => Math.hypot(Math.max(box.left - mark.at, 0, mark.at - box.right), Math.max(box.top - mark.up, 0, mark.up - box.bottom));
  const covers = (box, own) => {
    const near = away(box, own);
    return taken.some((other) => box.left < other.right + 4 && other.left < box.right + 4 && box.top < other.bottom && other.top < box.bottom) ||
      near < 6 || marks.some((mark) => mark !== own && away(box, mark) < Math.max(1.3 * near, 6)) ||
      marks.some((mark) => mark.high > mark.low && mark.at > box.left - 1 && mark.at < box.right + 1 && axes.y(100 * mark.high) < box.bottom && axes.y(100 * mark.low) > box.top) ||
      box.left < 0 || box.right > axes.right + 8 || box.top < axes.top - 12 || box.bottom > axes.bottom;
  };
  const labels = [];
  const isArmEach = marks.every((one) => one.arm) && new Set(marks.map((one) => one.arm)).size === marks.length;
  for (const mark of new Set(isArmEach ? [best, ...marks] : ends)) {
    const text = mark.arm?.name ?? mark.first.layout;
    if (text.length > 28) continue;
    const [wide, tall] = [text.length * 7, 13];
    const tries = [8, 11, 15, 20].flatMap((gap) => DIRECTIONS.map((degrees) => {
      const [across, up] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
      const middle = mark.at + gap * across + (wide / 2) * Math.max(-1, Math.min(1, 1.5 * across));
      const level = mark.up - gap * up - (tall / 2) * Math.max(-1, Math.min(1, 1.5 * up));
      return { middle, left: middle - wide / 2, right: middle + wide / 2, top: level - tall / 2, bottom: level + tall / 2 };
    }));
    const box = tries.find((one) => !covers(one, mark));
    if (!box) continue;
    taken.push(box);
    labels.push(svg("text", { class: "named", x: box.middle, y: box.bottom - 3, "text-anchor": "middle", "aria-hidden": "true" }, text));
  }
  return labels;
}

// The mark nearest to the pointer, within reach of a finger.
function pointable(root, marks) {
  let near = null;
  const leave = () => {
    if (near) near.shape.classList.remove("near");
    near = null;
    tip.hide();
  };
  const nearest = (event) => {
    const box = root.getBoundingClientRect();
    const [at, up] = [event.clientX - box.left, event.clientY - box.top];
    let [best, reach] = [null, 24];
    for (const mark of marks) {
      const distance = Math.hypot(mark.at - at, mark.up - up);
      if (distance < reach) [best, reach] = [mark, distance];
    }
    return best;
  };
  root.addEventListener("pointermove", (event) => {
    const found = nearest(event);
    if (found === near) return;
    leave();
    near = found;
    if (!found) return;
    found.shape.classList.add("near");
    tip.show(found.shape.getBoundingClientRect(), found.first.layout, found.facts);
  });
  root.addEventListener("pointerleave", leave);
  root.addEventListener("click", (event) => nearest(event)?.shape.focus());
}
