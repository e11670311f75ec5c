// An operator at the operator's page, by keyboard: `node operator.mjs MEZCAL TOKEN CHROMIUM`. Prints what was met, as JSON.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import puppeteer from "puppeteer-core";

const [mezcal, token, chromium] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const met = { complaints: [], foreign: [], violations: {}, kept: {}, wider: {} };

const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
const tab = await browser.newPage();
tab.on("console", (said) => { if (said.type() === "error") met.complaints.push(said.text()); });
tab.on("pageerror", (error) => met.complaints.push(String(error)));
tab.on("request", (asked) => { if (!/^(data:|blob:)/.test(asked.url()) && !asked.url().startsWith(mezcal)) met.foreign.push(asked.url()); });

async function check(name) {
  const found = await tab.evaluate(async (source, tags) => {
    // axe is read by the debugger's protocol, which the page's policy does not bind
    if (!window.axe) (0, eval)(source);
    const report = await window.axe.run(document, { runOnly: tags });
    const where = (one) => one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ");
    return { broken: report.violations.map((one) => `${one.id}: ${where(one)}`), kept: report.passes.length };
  }, axe, rules);
  met.violations[name] = found.broken;
  met.kept[name] = found.kept;
  met.wider[name] = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

async function press(word) {
  for (let presses = 0; presses < 200; presses += 1) {
    await tab.keyboard.press("Tab");
    const said = await tab.evaluate(() => document.activeElement?.textContent ?? "");
    const seen = await tab.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    });
    if (!seen) met.complaints.push(`no focus is to be seen at ${said.slice(0, 40)}`);
    if (said.startsWith(word)) { await Promise.all([tab.waitForNavigation(), tab.keyboard.press("Enter")]); return presses; }
  }
  throw new Error(`no way by keyboard to ${word}`);
}

await tab.setBypassCSP(false);
await tab.goto(`${mezcal}/ops`);
met.closed = await tab.$eval("h1", (one) => one.textContent);
met.complaints = met.complaints.filter((said) => !said.includes("401")); // the browser tells of the status itself
await tab.keyboard.type("wrong");
await Promise.all([tab.waitForNavigation(), tab.keyboard.press("Enter")]);
met.refused = await tab.$eval("[role=alert]", (one) => one.textContent);
met.complaints = met.complaints.filter((said) => !said.includes("401"));
await tab.type("#token", token);
await Promise.all([tab.waitForNavigation(), tab.keyboard.press("Enter")]);
met.components = await tab.$$eval(".components li", (all) => all.map((one) => one.innerText.replace(/\s+/g, " ").trim()));
met.cookies = await tab.evaluate(() => document.cookie);

await press("Retry");
met.result = await tab.$eval("[role=status]", (one) => one.textContent);

// It renews itself: what is made meanwhile appears without a reload, and nothing is asked for once the box is empty.
await tab.goto(`${mezcal}/ops`);
const fetched = [];
tab.on("request", (asked) => { if (asked.url() === `${mezcal}/ops`) fetched.push(asked.resourceType()); });
await tab.focus("#failures ~ * summary, #s-failures summary");
await fetch(`${mezcal}/images/agave-p3.tif`);
await tab.waitForFunction(() => document.querySelector("#s-newest .path").textContent === "agave-p3.tif", { timeout: 30000 });
met.fetched = [...new Set(fetched)];
met.focus = await tab.evaluate(() => document.activeElement.tagName);
await tab.focus("#live");
await tab.keyboard.press("Space");
await tab.evaluate(() => { document.getElementById("live").dataset.seconds = "0.1"; });
const before = fetched.length;
await new Promise((done) => setTimeout(done, 11000));
met.paused = fetched.length === before;

for (const scheme of ["light", "dark"]) {
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  for (const [device, width] of [["desk", 1280], ["phone", 320]]) {
    await tab.setViewport({ width, height: 900 });
    await tab.goto(`${mezcal}/ops`);
    await tab.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
    await check(`${scheme}, ${device}`);
    await tab.goto(`${mezcal}/`);
    await check(`home, ${scheme}, ${device}`);
  }
}

await tab.goto(`${mezcal}/ops`);
await tab.setJavaScriptEnabled(false);
await tab.goto(`${mezcal}/ops`);
const plain = await tab.$("form[action$='/ops/retry'] button");
if (plain) {
  await Promise.all([tab.waitForNavigation(), plain.click()]);
  met.plain = await tab.$eval("[role=status]", (one) => one.textContent);
}
await tab.setJavaScriptEnabled(true);
await press("Sign out");
met.out = await tab.$eval("h1", (one) => one.textContent);
await check("sign in");
await browser.close();
met.complaints = met.complaints.filter((said) => !said.includes("401"));
console.log(JSON.stringify(met));
