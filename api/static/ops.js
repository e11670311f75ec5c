"use strict";
// Loads the page anew every few seconds and puts in place what has changed, unless that is switched off, the tab is
// hidden, or somebody is at work in that section: no focus is lost and nothing that was opened is closed.
const box = document.getElementById("live");
const kept = "mezcal-ops-live";

function remembered() {
  try { return localStorage.getItem(kept) !== "off"; } catch (error) { return true; }
}

function renew(now) {
  const clock = document.querySelector(".bar > .note");
  clock.replaceWith(now.querySelector(".bar > .note"));
  for (const old of document.querySelectorAll("main > section")) {
    const fresh = now.getElementById(old.id);
    const busy = old.contains(document.activeElement) || old.querySelector("details[open]:hover");
    if (!fresh || busy || old.innerHTML === fresh.innerHTML) continue;
    const opened = [...old.querySelectorAll("details")].map((one) => one.open);
    fresh.querySelectorAll("details").forEach((one, place) => { one.open = opened[place] ?? one.open; });
    old.replaceWith(fresh);
  }
}

async function look() {
  if (box.checked && !document.hidden) {
    try {
      const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
      if (answer.status === 401 || answer.status === 403) return location.reload();
      if (answer.ok) renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch (error) { /* it is away for a moment; the next look tells */ }
  }
  setTimeout(look, 1000 * Number(box.dataset.seconds));
}

box.checked = remembered();
box.addEventListener("change", () => {
  try { localStorage.setItem(kept, box.checked ? "on" : "off"); } catch (error) { /* then it is not remembered */ }
});
document.querySelector("[data-live-control]").hidden = false;
setTimeout(look, 1000 * Number(box.dataset.seconds));
