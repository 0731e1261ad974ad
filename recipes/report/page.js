"use strict";

// A table is sorted by a click on a head, numbers from the largest and words from A; another click turns it round.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (button) button.addEventListener("click", () => sort(table, heads, column));
  });
}

function sort(table, heads, column) {
  const head = heads[column];
  const before = head.getAttribute("aria-sort");
  const begin = head.classList.contains("number") ? "descending" : "ascending";
  const opposite = { ascending: "descending", descending: "ascending" };
  const direction = before ? opposite[before] : begin;
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  const key = (row) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  };
  const rows = [...body.rows].map((row) => ({ row, key: key(row) }));
  rows.sort((a, b) => {
    if (typeof a.key !== typeof b.key) return typeof a.key === "number" ? -1 : 1; // undefined ones stay last
    return sign * (typeof a.key === "number" ? a.key - b.key : a.key.localeCompare(b.key, "en", { numeric: true }));
  });
  body.append(...rows.map((item) => item.row));
}

// The slider of a picture uncovers the truth on its left and the prediction on its right.
for (const stage of document.querySelectorAll(".stage")) {
  const slider = stage.querySelector("input");
  const move = () => stage.style.setProperty("--at", slider.value + "%");
  slider.addEventListener("input", move);
  move();
}

// Printed, truth and prediction stand side by side, each on a picture of its own; the file holds the picture once.
for (const stage of document.querySelectorAll(".stage")) {
  const again = stage.querySelector("img").cloneNode();
  again.className = "again";
  again.alt = "";
  stage.querySelector(".truth").before(again);
}

// Folded parts are printed too.
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not([open])")) {
    part.open = true;
    part.dataset.opened = "";
  }
});
addEventListener("afterprint", () => {
  for (const part of document.querySelectorAll("details[data-opened]")) {
    part.open = false;
    delete part.dataset.opened;
  }
});
