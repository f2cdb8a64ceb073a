// Where numbers lie: scales, ticks, and the frame of a figure.

function niceTicks(low, high, count) {
  const raw = (high - low) / Math.max(1, count) || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const found = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place += 1) {
    found.push(Number((place * step).toPrecision(12)));
  }
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of [1, 2, 5]) {
      const value = Number((factor * 10 ** power).toPrecision(3));
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

function padded(values, share) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (!values.length) [low, high] = [0, 1];
  const room = (high - low) * share || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

// Axes with grid, titles and a scale each; ``log`` makes the vertical one logarithmic.
function frame(width, height, across, up, { xTitle, yTitle, xText, yText, log = false, below = 0 }) {
  const [left, right, top, bottom] = [56, 14, 14, 46 + below];
  const to = log ? Math.log : (value) => value;
  const x = (value) => left + ((value - across[0]) / (across[1] - across[0])) * (width - left - right);
  const y = (value) => height - bottom - ((to(value) - to(up[0])) / (to(up[1]) - to(up[0]))) * (height - top - bottom);
  const root = svg("g", { "aria-hidden": "true" });
  for (const value of log ? logTicks(up[0], up[1]) : niceTicks(up[0], up[1], height / 60)) {
    root.append(
      svg("line", { class: "gridline", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, yText(value)),
    );
  }
  for (const value of niceTicks(across[0], across[1], Math.max(2, (width - left) / 105))) {
    root.append(
      svg("line", { class: "gridline", x1: x(value), x2: x(value), y1: top, y2: height - bottom }),
      svg("text", { x: x(value), y: height - bottom + below + 17, "text-anchor": "middle" }, xText(value)),
    );
  }
  const middle = (top + height - bottom) / 2;
  root.append(
    svg("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    svg("text", { class: "title", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xTitle),
    svg("text", { class: "title", x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, yTitle),
  );
  return { root, x, y, left, right: width - right, top, bottom: height - bottom };
}
