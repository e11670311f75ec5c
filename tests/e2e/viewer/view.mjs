// A IIIF server (iiif-processor) that takes its sources from mezcal, and a reader (OpenSeadragon in Chromium) that
// looks at one of them: `node view.mjs MEZCAL SOURCE CHROMIUM`. Prints what the reader saw, as JSON.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { Processor, IIIFError } from "iiif-processor";
import puppeteer from "puppeteer-core";

const [mezcal, source, chromium] = process.argv.slice(2);
const viewer = readFileSync(new URL("node_modules/openseadragon/build/openseadragon/openseadragon.min.js", import.meta.url));
const page = `<!doctype html><meta charset="utf-8"><div id="viewer" style="width:1000px;height:800px"></div>
<script src="/viewer.js"></script>`;

async function streamResolver({ id }) {
  const response = await fetch(`${mezcal}/mezzanine/${decodeURIComponent(id).split("/").map(encodeURIComponent).join("/")}.jpg`);
  if (!response.ok) throw new IIIFError(`the source answered ${response.status}`, { statusCode: response.status });
  return Readable.fromWeb(response.body);
}

async function iiif(request, response) {
  try {
    const url = `http://${request.headers.host}${request.url}`;
    const result = await new Processor(url, streamResolver, { pathPrefix: "/iiif/{{version}}/" }).execute();
    if (result.type === "redirect") return response.writeHead(302, { Location: result.location }).end();
    if (result.type === "error") return response.writeHead(result.statusCode).end(result.message);
    response.writeHead(200, { "Content-Type": result.contentType }).end(result.body);
  } catch (error) {
    response.writeHead(error.statusCode ?? 500).end(String(error));
  }
}

const server = createServer((request, response) => {
  if (request.url === "/") return response.writeHead(200, { "Content-Type": "text/html" }).end(page);
  if (request.url === "/viewer.js") return response.writeHead(200, { "Content-Type": "text/javascript" }).end(viewer);
  if (request.url.startsWith("/iiif/")) return iiif(request, response);
  return response.writeHead(404).end();
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const base = `http://127.0.0.1:${server.address().port}`;

const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
const tab = await browser.newPage();
await tab.setViewport({ width: 1000, height: 800 });
await tab.goto(base);
const seen = await tab.evaluate(async (info) => {
  const seen = { opened: false, tiles: 0, failed: [] };
  const viewer = OpenSeadragon({ id: "viewer", tileSources: info, drawer: "canvas", immediateRender: true });
  viewer.addHandler("tile-loaded", () => { seen.tiles += 1; });
  viewer.addHandler("tile-load-failed", (event) => { seen.failed.push(event.message); });
  viewer.addHandler("open-failed", (event) => { seen.failed.push(event.message); });
  await new Promise((done) => { viewer.addHandler("open", done); viewer.addHandler("open-failed", done); });
  seen.opened = viewer.isOpen();
  if (!seen.opened) return seen;
  const whole = () => new Promise((done) => {
    const look = () => viewer.world.getItemAt(0).getFullyLoaded() ? done() : setTimeout(look, 50);
    look();
  });
  await whole();
  viewer.viewport.zoomTo(viewer.viewport.imageToViewportZoom(1), null, true);
  viewer.forceRedraw();
  await new Promise((done) => setTimeout(done, 100));
  await whole();
  const drawn = document.querySelector("#viewer canvas").getContext("2d").getImageData(300, 300, 200, 200).data;
  seen.colours = new Set(Array.from({ length: drawn.length / 4 }, (_, n) => drawn.slice(4 * n, 4 * n + 3).join())).size;
  seen.size = viewer.world.getItemAt(0).getContentSize();
  return seen;
}, `${base}/iiif/3/${encodeURIComponent(source)}/info.json`);
await browser.close();
server.close();
console.log(JSON.stringify(seen));
process.exit(0);
