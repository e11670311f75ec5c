// A IIIF server (iiif-processor) that takes its sources from mezcal: `node image_server.mjs MEZCAL KIND` runs it until it
// is killed, and prints its URL. KIND is `jpeg` or `pyramid`. Its images are at /iiif/2/ID and /iiif/3/ID.
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { Processor, IIIFError } from "iiif-processor";

const SOURCES = { jpeg: (path) => `/mezzanine/${path}.jpg`, pyramid: (path) => `/derivatives/pyramid/${path}.tif` };

async function iiif(mezcal, kind, request, response) {
  async function streamResolver({ id }) {
    const path = decodeURIComponent(id).split("/").map(encodeURIComponent).join("/");
    const source = await fetch(`${mezcal}${SOURCES[kind](path)}`);
    if (!source.ok) throw new IIIFError(`the source answered ${source.status}`, { statusCode: source.status });
    return Readable.fromWeb(source.body);
  }
  response.setHeader("Access-Control-Allow-Origin", "*");
  try {
    const url = `http://${request.headers.host}${request.url}`;
    const result = await new Processor(url, streamResolver, { pathPrefix: "/iiif/{{version}}/" }).execute();
    if (result.type === "redirect") return response.writeHead(302, { Location: result.location }).end();
    if (result.type === "error") return response.writeHead(result.statusCode).end(result.message);
    const links = [["canonical", result.canonicalLink], ["profile", result.profileLink]].filter(([, link]) => link);
    if (links.length) response.setHeader("Link", links.map(([name, link]) => `<${link}>;rel="${name}"`).join(","));
    response.writeHead(200, { "Content-Type": result.contentType }).end(result.body);
  } catch (error) {
    response.writeHead(error.statusCode ?? 500).end(String(error));
  }
}

const [mezcal, kind] = process.argv.slice(2);
const server = createServer((request, response) => {
  if (request.url.startsWith("/iiif/")) return iiif(mezcal, kind, request, response);
  return response.writeHead(404).end();
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
