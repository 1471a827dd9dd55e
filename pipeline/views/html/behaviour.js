"use strict";
// What a script adds: all of it can be read without. A trial's marks light up together in every
// figure, its words stand at the bottom, and the table of trials is sorted and searched.
document.documentElement.classList.add("scripted");
const readout = document.querySelector("output[data-readout]");
let held = null;

function marksOf(mark) {
  const part = mark.closest("article") || document;
  return part.querySelectorAll(`[data-trial="${mark.dataset.trial}"]`);
}

function light(mark) {
  for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
  readout.hidden = !mark;
  if (!mark) return;
  const marks = marksOf(mark);
  let said = "";
  for (const one of marks) {
    one.classList.add("lit");
    const title = one.querySelector("title");
    if (title && title.textContent.length > said.length) said = title.textContent;
  }
  readout.textContent = said || mark.textContent;
}

const markOf = (event) => event.target.closest("svg [data-trial]");
document.addEventListener("pointerover", (event) => {
  if (event.pointerType === "mouse" && !held) light(markOf(event));
});
document.addEventListener("click", (event) => {
  if (event.target.closest("table, summary, a, label")) return;
  const mark = markOf(event);
  held = mark && mark !== held ? mark : null;
  light(held);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") light((held = null));
});

function key(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace(/,/g, ""));
  return text === "" ? null : Number.isNaN(number) ? text : number;
}

function order(table, head) {
  const falls = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falls ? "descending" : "ascending");
  const column = head.cellIndex, body = table.tBodies[0];
  const keyed = Array.from(body.rows, (row) => [key(row, column), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const both = typeof a === "number" && typeof b === "number";
    const found = both ? a - b : String(a).localeCompare(String(b));
    return falls ? -found : found;
  });
  body.append(...keyed.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table[data-trials]")) {
  for (const head of table.tHead.rows[0].cells) {
    head.querySelector("button").addEventListener("click", () => order(table, head));
  }
  const around = table.closest("details");
  const words = around.querySelector("[data-filter]"), state = around.querySelector("[data-state]");
  const count = around.querySelector("[data-count]");
  const sift = () => {
    const wanted = words.value.trim().toLowerCase();
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const fits = !state.value || row.cells[2].textContent === state.value;
      row.hidden = !fits || !row.textContent.toLowerCase().includes(wanted);
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${table.tBodies[0].rows.length}`;
  };
  words.addEventListener("input", sift);
  state.addEventListener("change", sift);
}

// paper has no click: what is folded is opened
const folded = () => document.querySelectorAll("details:not([open])");
addEventListener("beforeprint", () => folded().forEach((one) => (one.open = one.dataset.print = true)));
addEventListener("afterprint", () => {
  for (const one of document.querySelectorAll("details[data-print]")) {
    one.open = false;
    delete one.dataset.print;
  }
});
