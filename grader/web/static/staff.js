// Staff pages: arrow keys in the gradebook, progress of a regrade, copying invitation links. Every page works without it.
"use strict";

// Cells of a table marked data-keys="grid": one of them is in the order of Tab, the arrow keys move between them.
for (const table of document.querySelectorAll('table[data-keys="grid"]')) {
  const rows = [...table.rows].map((row) => [...row.cells]);
  const target = (cell) => cell.querySelector("a") || cell;
  let at = [1, 0];
  table.setAttribute("role", "grid");
  for (const row of rows) {
    for (const cell of row) {
      for (const link of cell.querySelectorAll("a")) link.tabIndex = -1;
      target(cell).tabIndex = -1;
    }
  }
  const mark = ([row, column]) => {
    target(rows[at[0]][at[1]]).tabIndex = -1;
    at = [row, column];
    target(rows[row][column]).tabIndex = 0;
  };
  if (rows.length > 1) mark(at);
  table.addEventListener("focusin", (event) => {
    const cell = event.target.closest("th, td");
    if (cell) mark([cell.parentElement.rowIndex, cell.cellIndex]);
  });
  table.addEventListener("keydown", (event) => {
    if (event.altKey || event.shiftKey || (event.ctrlKey && !["Home", "End"].includes(event.key))) return;
    const [row, column] = at;
    const last = rows.length - 1;
    const to = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: event.ctrlKey ? [1, 0] : [row, 0],
      End: event.ctrlKey ? [last, rows[last].length - 1] : [row, rows[row].length - 1],
      PageUp: [Math.max(1, row - 10), column],
      PageDown: [Math.min(last, row + 10), column],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    if (!rows[to[0]] || !rows[to[0]][to[1]]) return;
    mark(to);
    const cell = rows[to[0]][to[1]];
    target(cell).focus({ preventScroll: true });
    show(cell);
  });
}

// Scrolls a cell into the part of its box that the sticky head and first column leave free.
function show(cell) {
  const box = cell.closest(".table-box");
  const table = cell.closest("table");
  const head = table.rows[0].cells[0].getBoundingClientRect();
  const seen = box.getBoundingClientRect();
  const here = cell.getBoundingClientRect();
  if (cell.cellIndex > 0) {
    if (here.left < head.right) box.scrollLeft -= head.right - here.left;
    else if (here.right > seen.right) box.scrollLeft += here.right - seen.right;
  }
  if (cell.parentElement.rowIndex > 0) {
    if (here.top < head.bottom) box.scrollTop -= head.bottom - here.top;
    else if (here.bottom > seen.bottom) box.scrollTop += here.bottom - seen.bottom;
  }
  cell.scrollIntoView({ block: "nearest", inline: "nearest" });
}

// A regrade under way. When the events fail, the page is asked again every three seconds.
const running = document.querySelector("[data-events]");
if (running) {
  const bar = running.querySelector("progress");
  const done = running.querySelector("[data-progress]");
  const left = running.querySelector("[data-left]");
  // An error page has no script that would ask again, so this page stays until there is a better one.
  const again = async () => {
    const answer = await fetch(location.href, { credentials: "same-origin" }).catch(() => null);
    if (answer && answer.ok) location.reload();
    else setTimeout(again, 3000);
  };
  const events = new EventSource(running.dataset.events);
  let first = null;
  events.addEventListener("progress", (event) => {
    const told = JSON.parse(event.data);
    bar.max = told.total;
    bar.value = told.done;
    done.textContent = done.dataset.text.replace("{done}", told.done).replace("{total}", told.total);
    first = first || { at: Date.now(), done: told.done };
    const since = told.done - first.done;
    if (since < 2) return; // too few to tell: what the server wrote stays
    const seconds = ((Date.now() - first.at) / 1000 / since) * (told.total - told.done);
    if (seconds < 90) left.textContent = left.dataset.seconds.replace("{n}", Math.max(1, Math.round(seconds)));
    else left.textContent = left.dataset.minutes.replace("{n}", Math.round(seconds / 60));
  });
  events.addEventListener("done", () => {
    events.close();
    again();
  });
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) setTimeout(again, 3000);
  });
}

// Buttons that only make sense with scripts.
for (const part of document.querySelectorAll("[data-needs-script]")) part.hidden = false;
for (const button of document.querySelectorAll("[data-copy-from]")) {
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copyFrom);
    text.select();
    try {
      await navigator.clipboard.writeText(text.value);
    } catch {
      return; // the text is selected: the keyboard copies it
    }
    button.textContent = button.dataset.done;
    const announce = document.getElementById("announce");
    if (announce) announce.textContent = button.dataset.done;
  });
}
for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => {
    const text = document.getElementById(button.dataset.download).value;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
    link.download = button.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
