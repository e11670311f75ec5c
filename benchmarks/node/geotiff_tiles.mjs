// Times tiles of one pyramid by HTTP ranges: `node geotiff_tiles.mjs URL < windows.json`. Windows are
// [level, left, top, right, bottom]. Prints what opening took, and what each window took: [seconds, bytes, requests].
import { readFileSync } from "node:fs";
import { fromUrl } from "geotiff";

const url = process.argv[2];
const windows = JSON.parse(readFileSync(0, "utf8"));
const taken = { bytes: 0, requests: 0 };
const plain = globalThis.fetch;

globalThis.fetch = async (...request) => {
  const response = await plain(...request);
  const body = await response.arrayBuffer();
  taken.bytes += body.byteLength;
  taken.requests += 1;
  return new Response(body, { status: response.status, headers: response.headers });
};

async function measured(work) {
  const before = { ...taken }, begin = performance.now();
  const result = await work();
  return [result, [(performance.now() - begin) / 1e3, taken.bytes - before.bytes, taken.requests - before.requests]];
}

const [tiff, opening] = await measured(async () => {
  const tiff = await fromUrl(url);
  await tiff.getImageCount(); // reads the directory of each level
  return tiff;
});
const figures = [];
for (const [level, ...window] of windows) {
  const image = await tiff.getImage(level);
  figures.push((await measured(() => image.readRasters({ window, interleave: true })))[1]);
}
console.log(JSON.stringify({ opening, figures }));
