"use strict";
// Polls the job until it ends, then reloads the page, which shows the image or the reason why there is none.
const bar = document.querySelector("progress[data-job]");
const text = document.getElementById("stage");
const pause = 500;
const unfinished = ["queued", "delayed", "running"];

function show(job) {
  if (job.state === "running" && job.done !== null && job.done > 0) {
    bar.value = job.done;
    text.textContent = Math.round(100 * job.done) + " % done";
  } else if (job.state === "running") {
    text.textContent = "running";
  } else if (job.place) {
    text.textContent = job.place === 1 ? "next in the queue" : "number " + job.place + " in the queue";
  }
}

async function poll() {
  try {
    const response = await fetch(bar.dataset.job, { headers: { Accept: "application/json" } });
    const job = response.ok ? await response.json() : null;
    if (job === null ? response.status === 404 : !unfinished.includes(job.state)) {
      location.reload();
      return;
    }
    if (job !== null) show(job);
  } catch (error) {
    text.textContent = "no connection; trying again";
  }
  setTimeout(poll, pause);
}
setTimeout(poll, pause);
