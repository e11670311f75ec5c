"use strict";
// Fetches the page every few seconds and replaces the sections that have changed, unless the box is unchecked, the tab is
// hidden, or the user is working in that section. So the focus stays, and opened details stay open.
const box = document.getElementById("live");
const storageKey = "mezcal-ops-live";

function readChoice() {
  try { return localStorage.getItem(storageKey) !== "off"; } catch (error) { return true; }
}

function update(page) {
  document.querySelector(".bar > .note").replaceWith(page.querySelector(".bar > .note"));
  for (const section of document.querySelectorAll("main > section")) {
    const fresh = page.getElementById(section.id);
    const busy = section.contains(document.activeElement) || section.querySelector("details[open]:hover");
    if (!fresh || busy || section.innerHTML === fresh.innerHTML) continue;
    const opened = [...section.querySelectorAll("details")].map((details) => details.open);
    fresh.querySelectorAll("details").forEach((details, index) => { details.open = opened[index] ?? details.open; });
    section.replaceWith(fresh);
  }
}

async function refresh() {
  if (box.checked && !document.hidden) {
    try {
      const response = await fetch(location.pathname, { headers: { Accept: "text/html" } });
      if (response.status === 401 || response.status === 403) return location.reload();
      if (response.ok) update(new DOMParser().parseFromString(await response.text(), "text/html"));
    } catch (error) { /* the service is away for a moment; try again */ }
  }
  setTimeout(refresh, 1000 * Number(box.dataset.seconds));
}

box.checked = readChoice();
box.addEventListener("change", () => {
  try { localStorage.setItem(storageKey, box.checked ? "on" : "off"); } catch (error) { /* not remembered */ }
});
document.querySelector("[data-live-control]").hidden = false;
setTimeout(refresh, 1000 * Number(box.dataset.seconds));
