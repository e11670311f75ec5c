// Times tiles of one file through iiif-processor: `node iiif_tiles.mjs FILE stream|file < tiles.json`. Tiles are
// "region/size"; prints [[seconds, CPU seconds, bytes], ..]. `stream` gives it the whole file for each request, twice, as
// serverless-iiif does; `file` has sharp open the file by its name, so that it reads what it needs.
import { createReadStream, readFileSync } from "node:fs";
import { Processor } from "iiif-processor";

const [file, way] = process.argv.slice(2);
const tiles = JSON.parse(readFileSync(0, "utf8"));

// iiif-processor only pipes its source into sharp. This source names the file instead.
const opened = {
  pipe(sharp) {
    delete sharp.options.input.buffer;
    sharp.options.input.file = file;
    return sharp;
  },
};

async function measure(tile) {
  const cpu = process.cpuUsage(), begin = performance.now();
  const source = async () => (way === "file" ? opened : createReadStream(file));
  const url = `http://localhost/iiif/2/x/${tile}/0/default.jpg`;
  const result = await new Processor(url, source, { pathPrefix: "/iiif/{{version}}/" }).execute();
  if (result.type !== "content") throw new Error(`${tile}: ${result.statusCode} ${result.message}`);
  const used = process.cpuUsage(cpu);
  return [(performance.now() - begin) / 1e3, (used.user + used.system) / 1e6, result.body.length];
}

await measure(tiles[0]); // imports and first use
const figures = [];
for (const tile of tiles) figures.push(await measure(tile));
console.log(JSON.stringify(figures));
