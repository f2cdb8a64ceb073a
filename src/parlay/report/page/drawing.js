"use strict";
// Elements, numbers in words, and the tip. Text goes in as text nodes only, never as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function html(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US").replace("-", "−");
  const places = size >= 1000 ? 0 : Math.max(0, digits - 1 - Math.floor(Math.log10(size || 1)));
  return value.toLocaleString("en-US", { maximumFractionDigits: Math.min(places, 6) }).replace("-", "−");
}

function fixed(value, places) {
  if (value === null || value === undefined) return "–";
  const format = { minimumFractionDigits: places, maximumFractionDigits: places };
  return value.toLocaleString("en-US", format).replace("-", "−");
}

function compact(value) {
  const size = Math.abs(value);
  for (const [unit, scale] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (size >= scale) return number(value / scale, 6) + unit;
  }
  return number(value, 6);
}

function percent(share) {
  return share === null || share === undefined ? "–" : (100 * share).toFixed(2) + " %";
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

const tip = {
  show(rect, title, facts) {
    const box = byId("tip");
    const list = html("dl");
    for (const [name, value] of facts) list.append(html("dt", {}, name), html("dd", {}, value));
    box.replaceChildren(html("strong", {}, title), list);
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const right = rect.right + 12 + width < innerWidth;
    const left = right ? rect.right + 12 : Math.max(8, Math.min(rect.left - 12 - width, innerWidth - width - 8));
    const beside = right || rect.left - 12 - width >= 8;
    const above = rect.top - height - 12;
    const top = beside ? rect.top + rect.height / 2 - height / 2 : above > 8 ? above : rect.bottom + 12;
    box.style.left = `${left}px`;
    box.style.top = `${Math.max(8, Math.min(top, innerHeight - height - 8))}px`;
  },
  hide() {
    byId("tip").hidden = true;
  },
};

// One stop for the tab key in a figure; arrow keys, Home and End go from mark to mark in the order given.
function walkable(root, marks) {
  if (!marks.length) return;
  let place = 0;
  const go = (to) => {
    marks[place].setAttribute("tabindex", "-1");
    place = Math.max(0, Math.min(marks.length - 1, to));
    marks[place].setAttribute("tabindex", "0");
    marks[place].focus();
  };
  marks.forEach((mark, index) => {
    mark.setAttribute("tabindex", index === 0 ? "0" : "-1");
    mark.addEventListener("focus", () => {
      marks[place].setAttribute("tabindex", "-1");
      place = index;
      mark.setAttribute("tabindex", "0");
    });
  });
  root.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place - 1, ArrowUp: place - 1, Home: 0, End: marks.length - 1 };
    if (event.key === "Escape") tip.hide();
    if (!(event.key in moves)) return;
    event.preventDefault();
    go(moves[event.key]);
  });
}
