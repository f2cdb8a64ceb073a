// The table of trials: chosen by the controls, sorted by its headings, written as CSV.

const PORTION = 25;
const MORE = 100;
const DATA = JSON.parse(byId("data").textContent);
// What layouts are chosen by: validation where every trial with an accuracy has it, else the test.
const CHOOSES = DATA.trials.validation_accuracy.some((value) => value !== null) && DATA.trials.accuracy.every((value, row) => value === null || DATA.trials.validation_accuracy[row] !== null) ? "validation_accuracy" : "accuracy";
const OWN = [["study", "Study", "text"], ["question", "Question", "text"], ["arm", "Arm", "text"]];
const ENERGIES = [["energy", "Energy", "2"], ["path_energy", "Path energy", "3"]]; // of the logarithms that a trial has
const COLUMNS = [...OWN, ...DATA.columns.flatMap((column) => (column[0] === "log_energy" ? ENERGIES : [column]))].filter(([, heading]) => heading);
const TEXTS = new Set([...OWN, ...DATA.columns].filter(([, , format]) => format === "text").map(([key]) => key));
const CSV_COLUMNS = [...OWN, ...DATA.columns].flatMap(([key]) => (key === "log_energy" ? [key, "log_path_energy"] : [key]));

function shown(value, format) {
  if (format === "text") return value ?? "";
  return format === "percent" ? percent(value) : fixed(value, Number(format));
}

const collator = new Intl.Collator("en", { numeric: true });

function compare(key, falling) {
  return (a, b) => {
    const [first, second] = [a[key] ?? null, b[key] ?? null];
    if (first === null || second === null) return (first === null) - (second === null);
    const order = TEXTS.has(key) ? collator.compare(first, second) : first - second;
    return falling ? -order : order;
  };
}

function csvOf(trials) {
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : String(value);
    if (typeof value === "string" && /^[=+@\t\r-]/.test(text)) text = `'${text}`; // no spreadsheet shall run it
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [CSV_COLUMNS, ...trials.map((trial) => CSV_COLUMNS.map((key) => trial[key]))].map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

const table = {
  trials: [],
  key: CHOOSES,
  falling: true,
  length: PORTION,

  set(trials) {
    this.trials = trials;
    this.length = PORTION;
    this.draw();
  },
  found() {
    const words = byId("find").value.trim().toLowerCase();
    const hit = (trial) => !words || `${trial.layout} ${trial.status} ${trial.kind} ${trial.error ?? ""}`.toLowerCase().includes(words);
    return this.trials.filter(hit).sort(compare(this.key, this.falling));
  },
  columns() {
    const several = new Set(this.trials.map((trial) => trial.panel)).size > 1;
    return COLUMNS.filter(([key]) => {
      if (key === "question" || key === "study") return several;
      return key === "layout" || this.trials.some((trial) => trial[key] !== null && trial[key] !== "");
    });
  },
  draw() {
    const [found, columns] = [this.found(), this.columns()];
    const heads = columns.map(([key, title]) => {
      const sorted = key === this.key;
      const button = html("button", { type: "button", "data-key": key }, title, sorted ? (this.falling ? " ↓" : " ↑") : "");
      button.addEventListener("click", () => this.sort(key));
      return html("th", { scope: "col", class: TEXTS.has(key) ? null : "number", "aria-sort": sorted ? (this.falling ? "descending" : "ascending") : null }, button);
    });
    const cell = (trial) => ([key, , format]) =>
      key === "layout" ? html("th", { scope: "row" }, trial.layout) : html("td", { class: TEXTS.has(key) ? key : "number" }, shown(trial[key], format));
    const body = found.slice(0, this.length).map((trial) => html("tr", {}, ...columns.map(cell(trial))));
    byId("table").tHead.replaceChildren(html("tr", {}, ...heads));
    byId("table").tBodies[0].replaceChildren(...body);
    byId("count").textContent = `${number(body.length)} of ${number(found.length)} trials`;
    byId("more").hidden = found.length <= this.length;
  },
  sort(key) {
    this.falling = key === this.key ? !this.falling : !TEXTS.has(key);
    this.key = key;
    this.draw();
    byId("table").querySelector(`button[data-key="${key}"]`).focus();
  },
  download() {
    const link = html("a", { href: URL.createObjectURL(new Blob([csvOf(this.found())], { type: "text/csv" })), download: "trials.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  },
};
