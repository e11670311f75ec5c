// Takes the pictures that tools/screenshots/__main__.py asks for; its one argument is JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(new URL("../../tests/e2e/viewer/package.json", import.meta.url));
const { default: puppeteer } = await import(pathToFileURL(require.resolve("puppeteer-core")));
const { chromium, folder, password, pages } = JSON.parse(process.argv[2]);

const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"] });
for (const wanted of pages) {
  const tab = await browser.newPage();
  await tab.authenticate({ username: "mezcal", password });
  await tab.setViewport({ width: wanted.width ?? 1200, height: wanted.height });
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: wanted.scheme ?? "light" }]);
  await tab.goto(wanted.url, { waitUntil: "networkidle2" });
  if (wanted.follow) {
    const row = await tab.waitForSelector(`tbody tr ::-p-text(${wanted.follow})`);
    const link = await row.evaluateHandle((one) => one.closest("tr").querySelector("a[href*='/task/']"));
    await Promise.all([tab.waitForNavigation({ waitUntil: "networkidle2" }), link.click()]);
  }
  await tab.screenshot({ path: `${folder}/${wanted.out}` });
  await tab.close();
}
await browser.close();
