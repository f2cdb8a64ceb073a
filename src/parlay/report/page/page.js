// What is chosen, and what follows from it.

const TRIALS = DATA.trials.panel.map((_, row) => Object.fromEntries(Object.entries(DATA.trials).map(([key, column]) => [key, column[row]])));
for (const trial of TRIALS) {
  const panel = DATA.panels[trial.panel];
  const plain = (log) => (panel.energy_is_log ? log : log === null ? 0 : Math.exp(log)); // no logarithm: an energy of 0
  trial.energy = plain(trial.log_energy);
  trial.path_energy = panel.has_path_energy ? plain(trial.log_path_energy) : null;
  trial.study = panel.study;
  trial.arm = panel.arms[trial.layout]?.words ?? null;
  trial.question = `${panel.name}, ${panel.training}`;
}

const chosen = { panel: "all", x: "energy", y: CHOOSES, seed: "all", each: "layout", statuses: new Set(TRIALS.map((trial) => trial.status)) };

function isShown(trial) {
  return (
    (chosen.panel === "all" || trial.panel === Number(chosen.panel)) &&
    (chosen.seed === "all" || trial.seed === Number(chosen.seed)) &&
    chosen.statuses.has(trial.status)
  );
}

function panelsOf(trials) {
  const found = new Map();
  for (const trial of trials) {
    if (!found.has(trial.panel)) found.set(trial.panel, []);
    found.get(trial.panel).push(trial);
  }
  return [...found].sort(([a], [b]) => a - b).map(([place, some]) => [DATA.panels[place], some]);
}

// A figure whose drawing fits its width; it is put in place first, so that the width is known.
function chart(holder, title, note, draw) {
  const plot = html("div", { class: "plot" });
  const figure = html("figure", { class: "chart" }, html("figcaption", {}, title, html("small", {}, note)), plot);
  holder.append(figure);
  return { figure, fit: () => draw(Math.max(240, Math.floor(plot.clientWidth)), plot, figure) };
}

// Whether trials of the same networks stand in another question too, trained another way.
function isAmbiguous(panel) {
  return DATA.panels.some((other) => other !== panel && other.study === panel.study && other.name === panel.name);
}

function drawFigures() {
  tip.hide();
  const shown = TRIALS.filter(isShown);
  const panels = panelsOf(shown);
  byId("misfits").hidden = shown.every((trial) => DATA.panels[trial.panel].arms[trial.layout]?.fits ?? true);
  byId("lost").hidden = shown.every((trial) => trial[chosen.y] !== null);
  const [scatters, losses, layouts] = [byId("scatters"), byId("losses"), byId("layouts")];
  for (const holder of [scatters, losses, layouts]) holder.replaceChildren();
  const several = panels.length > 1;
  const charts = [];
  for (const [panel, trials] of panels) {
    const title = `${several ? `${panel.study}: ` : ""}${panel.name}${isAmbiguous(panel) ? `, ${panel.training}` : ""}`;
    const correlation = chosen.y === "accuracy" && panel.correlations[chosen.x];
    const over = chosen.seed === "all" ? "" : " (over all seeds)";
    charts.push(chart(scatters, title, correlation ? `${correlation}${over}` : isAmbiguous(panel) ? "" : panel.training, (width, plot) => plot.replaceChildren(drawScatter(panel, title, trials, chosen, width))));
    const order = ranked(trials);
    const ends = { best: order[0]?.layout, worst: order.length > 1 ? order[order.length - 1].layout : null };
    if (trials.some((trial) => trial.curve)) {
      charts.push(chart(losses, title, isAmbiguous(panel) ? "" : panel.training, (width, plot) => {
        const found = drawCurves(panel, title, trials, ends, width);
        plot.replaceChildren(found.root, html("p", { class: "note" }, found.note), found.table);
      }));
    }
    drawEnds(layouts, panel, order, title);
  }
  for (const { fit } of charts) fit();
  const count = new Set(shown.map((trial) => `${trial.panel} ${trial.layout}`)).size;
  byId("shown").textContent = `${number(shown.length)} of ${number(TRIALS.length)} trials shown, of ${number(count)} layouts`;
  if (!losses.children.length) losses.append(html("p", { class: "note" }, "No trial shown here has a learning curve."));
  if (!layouts.children.length) layouts.append(html("p", { class: "note" }, "No trial shown here has an accuracy."));
}

function drawEnds(holder, panel, order, title) {
  if (!order.length) return;
  const half = Math.min(3, Math.ceil(order.length / 2));
  const entries = [
    ...order.slice(0, half).map((entry, place) => ["best", place === 0 ? "Most accurate" : `Most accurate, ${place + 1}`, entry]),
    ...order.slice(half).slice(-half).reverse().map((entry, place) => ["worst", place === 0 ? "Least accurate" : `Least accurate, ${place + 1}`, entry]),
  ];
  const most = Math.max(...entries.flatMap(([, , entry]) => entry.layout.split("-").map(Number)));
  holder.append(html("h3", {}, title));
  const grid = html("div", { class: "layouts" });
  holder.append(grid);
  for (const [kind, name, entry] of entries) {
    const runs = `${percent(entry.accuracy)}${CHOOSES === "accuracy" ? "" : " on validation"}, ${entry.runs} run${entry.runs === 1 ? "" : "s"}`;
    const figure = html("figure", { class: kind }, html("figcaption", {}, entry.layout, html("small", {}, `${name}: ${runs}`)));
    grid.append(figure);
  }
  entries.forEach(([, name, entry], place) => {
    const figure = grid.children[place];
    figure.append(drawWidths(panel, entry, most, `${name}, ${entry.layout}`, Math.max(160, figure.clientWidth - 34)));
  });
}

function drawAllWeights() {
  for (const holder of document.querySelectorAll(".weights-drawing")) {
    holder.replaceChildren(drawWeights(DATA.weights[Number(holder.dataset.place)].groups, Math.min(640, holder.clientWidth)));
  }
}

function drawAnswers() {
  for (const holder of document.querySelectorAll(".answer-drawing")) {
    const layout = holder.dataset.layout;
    const most = Math.max(...layout.split("-").map(Number));
    holder.replaceChildren(drawWidths(DATA.panels[Number(holder.dataset.place)], { layout }, most, `Most accurate, ${layout}`, Math.min(520, Math.max(160, holder.clientWidth))));
  }
}

// Tables that are wider than their frame say so.
function markCut() {
  for (const holder of document.querySelectorAll(".scrolls")) {
    holder.classList.toggle("cut", holder.querySelector("table").offsetWidth > holder.clientWidth + 1);
  }
}

function update() {
  drawFigures();
  table.set(TRIALS.filter(isShown));
  markCut();
}

function options(id, entries, key) {
  const select = byId(id);
  select.append(...entries.map(([value, text]) => html("option", { value }, text)));
  if (entries.length < 2) select.parentElement.hidden = true;
  else select.value = chosen[key];
  select.addEventListener("change", () => {
    chosen[key] = select.value;
    update();
  });
}

function begin() {
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  const panels = DATA.panels.map((panel, place) => [String(place), `${panel.study}: ${panel.name}, ${panel.training}`]);
  options("panel", panels.length > 1 ? [["all", `all ${panels.length}`], ...panels] : panels, "panel");
  options("x", Object.entries(ACROSS).filter(([key]) => TRIALS.some((trial) => trial[key] !== null)).map(([key, { title }]) => [key, title]), "x");
  options("y", Object.entries(UP).filter(([key]) => key === "accuracy" || TRIALS.some((trial) => trial[key] !== null)).map(([key, title]) => [key, title]), "y");
  const seeds = [...new Set(TRIALS.map((trial) => trial.seed))].sort((a, b) => a - b).map((seed) => [String(seed), String(seed)]);
  options("seed", seeds.length > 1 ? [["all", "all"], ...seeds] : seeds, "seed");
  byId("each").addEventListener("change", () => {
    chosen.each = byId("each").value;
    update();
  });
  byId("each").parentElement.hidden = seeds.length < 2;
  for (const status of [...chosen.statuses].sort()) {
    const box = html("input", { type: "checkbox", name: "status", value: status, checked: "" });
    box.addEventListener("change", () => {
      if (box.checked) chosen.statuses.add(status);
      else chosen.statuses.delete(status);
      update();
    });
    const count = TRIALS.filter((trial) => trial.status === status).length;
    byId("statuses").append(html("label", {}, box, `${status} (${number(count)})`));
  }
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  byId("find").addEventListener("input", () => table.set(table.trials));
  byId("download").addEventListener("click", () => table.download());
  byId("more").addEventListener("click", () => {
    table.length += MORE;
    table.draw();
  });
  addEventListener("scroll", () => {
    const mark = document.activeElement;
    tip.hide();
    if (mark.matches(".point, .curve")) mark.dispatchEvent(new Event("focus")); // the tip goes with its mark
  }, { passive: true });
  beginTheme();
  drawAnswers();
  update();
  drawAllWeights();
  for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", markCut);
  let [width, waiting] = [innerWidth, 0];
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar came or went
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => { drawAnswers(); drawFigures(); drawAllWeights(); markCut(); }, 120);
  });
}

function beginTheme() {
  const button = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const tell = () => { button.textContent = isDark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Show in ${isDark() ? "light" : "dark"} colours`); };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    tell();
  });
  system.addEventListener("change", tell);
  button.hidden = false;
  tell();
}

begin();
