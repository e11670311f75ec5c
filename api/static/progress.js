"use strict";
// Asks where the job stands until it is over, then loads the page again: the image is there, or the reason why not.
const bar = document.querySelector("progress[data-job]");
const words = document.getElementById("stage");
const pause = 500;

function show(job) {
  if (job.state === "running" && job.done !== null && job.done > 0) {
    bar.value = job.done;
    words.textContent = Math.round(100 * job.done) + " % done";
  } else if (job.state === "running") {
    words.textContent = "being made";
  } else if (job.place) {
    words.textContent = job.place === 1 ? "next in the queue" : "number " + job.place + " in the queue";
  }
}

async function look() {
  try {
    const answer = await fetch(bar.dataset.job, { headers: { Accept: "application/json" } });
    const job = answer.ok ? await answer.json() : null;
    if (job === null ? answer.status === 404 : !["queued", "delayed", "running"].includes(job.state)) {
      location.reload();
      return;
    }
    if (job !== null) show(job);
  } catch (error) {
    words.textContent = "no connection; trying again";
  }
  setTimeout(look, pause);
}
setTimeout(look, pause);
