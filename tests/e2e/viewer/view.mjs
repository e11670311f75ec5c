// A reader (OpenSeadragon in Chromium) looks at an image: `node view.mjs CHROMIUM INFO [SHOT]`, where INFO is the URL of
// its info.json. Saves screenshots as SHOT-first.png and SHOT-zoomed.png. Prints what the reader saw, as JSON.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import puppeteer from "puppeteer-core";

const [chromium, info, shot] = process.argv.slice(2);
const viewer = readFileSync(new URL("node_modules/openseadragon/build/openseadragon/openseadragon.min.js", import.meta.url));
const page = `<!doctype html><meta charset="utf-8"><div id="viewer" style="width:1000px;height:800px"></div>
<script src="/viewer.js"></script>`;

const server = createServer((request, response) => {
  if (request.url === "/") return response.writeHead(200, { "Content-Type": "text/html" }).end(page);
  if (request.url === "/viewer.js") return response.writeHead(200, { "Content-Type": "text/javascript" }).end(viewer);
  return response.writeHead(404).end();
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const base = `http://127.0.0.1:${server.address().port}`;

const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"], protocolTimeout: 900_000 });
const tab = await browser.newPage();
await tab.setViewport({ width: 1000, height: 800 });
await tab.goto(base);
const seen = await tab.evaluate(async (info) => {
  const seen = { opened: false, tiles: 0, failed: [] }, begin = performance.now();
  const options = { drawer: "canvas", immediateRender: true, crossOriginPolicy: "Anonymous" };
  const viewer = window.viewer = OpenSeadragon({ id: "viewer", tileSources: info, ...options });
  viewer.addHandler("tile-loaded", () => { seen.tiles += 1; });
  viewer.addHandler("tile-load-failed", (event) => { seen.failed.push(event.message); });
  viewer.addHandler("open-failed", (event) => { seen.failed.push(event.message); });
  await new Promise((done) => { viewer.addHandler("open", done); viewer.addHandler("open-failed", done); });
  seen.opened = viewer.isOpen();
  window.seen = seen;
  window.whole = () => new Promise((done) => {
    const look = () => viewer.world.getItemAt(0).getFullyLoaded() ? done() : setTimeout(look, 50);
    look();
  });
  if (!seen.opened) return seen;
  await whole();
  seen.first = (performance.now() - begin) / 1000; // seconds until the whole picture is drawn
  return seen;
}, info);
if (shot) await tab.screenshot({ path: `${shot}-first.png` });
const zoomed = async () => {
  const { viewer, seen } = window;
  viewer.viewport.zoomTo(viewer.viewport.imageToViewportZoom(1), null, true);
  viewer.forceRedraw();
  await new Promise((done) => setTimeout(done, 100));
  await window.whole();
  const drawn = document.querySelector("#viewer canvas").getContext("2d").getImageData(300, 300, 200, 200).data;
  seen.colours = new Set(Array.from({ length: drawn.length / 4 }, (_, n) => drawn.slice(4 * n, 4 * n + 3).join())).size;
  seen.size = viewer.world.getItemAt(0).getContentSize();
  return seen;
};
const all = seen.opened ? await tab.evaluate(zoomed) : seen;
if (shot) await tab.screenshot({ path: `${shot}-zoomed.png` });
await browser.close();
server.close();
console.log(JSON.stringify(all));
process.exit(0);
