
"use strict";
// Ticks and reasons: shown, kept in the browser, downloaded as a list of bad masks.
const page = JSON.parse(document.getElementById("masks").textContent);
const boxes = [...document.querySelectorAll("section input[type=checkbox]")];
const reasons = [...document.querySelectorAll("section input[type=text]")];
const button = document.getElementById("download");
const number = document.getElementById("number");

function remembered() {
  try {
    const kept = JSON.parse(localStorage.getItem(page.key));
    if (kept && typeof kept === "object" && !Array.isArray(kept)) return kept;
  } catch { /* Forbidden or damaged: the page works without a memory. */ }
  return {};
}

function recall() {
  const kept = remembered();
  page.masks.forEach((mask, index) => {
    const entry = kept[mask.path];
    boxes[index].checked = Boolean(entry && entry.ticked);
    reasons[index].value = String((entry && entry.reason) || "");
  });
}

function changed() {
  const kept = remembered();  // a page that showed more masks left more in it
  page.masks.forEach((mask, index) => {
    const entry = { ticked: boxes[index].checked, reason: reasons[index].value };
    if (entry.ticked || entry.reason) kept[mask.path] = entry;
    else delete kept[mask.path];
  });
  try {
    localStorage.setItem(page.key, JSON.stringify(kept));
  } catch { /* As above. */ }
  show();
}

function show() {
  const ticked = boxes.filter((box) => box.checked).length;
  document.getElementById("count").textContent = `${ticked} of ${boxes.length} ticked`;
  button.disabled = ticked === 0;
}

function download() {
  const masks = page.masks
    .map((mask, index) => ({ ...mask, reason: reasons[index].value.trim() || mask.reason }))
    .filter((_, index) => boxes[index].checked);
  const text = JSON.stringify({ schema: page.schema, masks }, null, 2) + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = page.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function tickFirst() {
  const count = Math.max(0, Math.floor(Number(number.value)) || 0);
  boxes.slice(0, count).forEach((box) => { box.checked = true; });
  changed();
}

function untickAll() {
  boxes.forEach((box) => { box.checked = false; });
  changed();
}

[...boxes, ...reasons].forEach((field) => field.addEventListener("input", changed));
button.addEventListener("click", download);
document.getElementById("first").addEventListener("click", tickFirst);
document.getElementById("none").addEventListener("click", untickAll);
recall();
show();
