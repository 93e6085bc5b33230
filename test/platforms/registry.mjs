// Owns a registry on loopback that serves our tarballs by name, and sends every other question on to the registry that npm is set up for, so
// that package managers choose by os, cpu and libc as they do for users.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

/** @returns {Promise<{url: string, asked: string[], close(): void}>} asked: the names and files that were asked for */
export async function startRegistry(folder, upstream) {
  const asked = [];
  const packages = new Map();
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".tgz"))) {
    const bytes = readFileSync(join(folder, file));
    const manifest = manifestOf(bytes);
    packages.set(manifest.name, { file, bytes, manifest });
  }
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(request.url.split("?")[0]).slice(1);
    asked.push(path);
    const own = packages.get(path) ?? [...packages.values()].find(({ file }) => path.endsWith(`/-/${file}`));
    try {
      if (own && path.endsWith(".tgz")) return response.end(own.bytes);
      if (own) return json(response, packument(own, url));
      if (path.startsWith("@zstream/")) return json(response, { error: "not found" }, 404);
      const answer = await fetch(upstream.replace(/\/$/, "") + request.url, { headers: { accept: request.headers.accept ?? "*/*" } });
      const type = answer.headers.get("content-type") ?? "application/json";
      response.writeHead(answer.status, { "content-type": type });
      if (!type.includes("json")) return response.end(Buffer.from(await answer.arrayBuffer()));
      // Tarballs come this way too: a package manager under test may not know the certificates that this machine's registry needs.
      response.end((await answer.text()).replaceAll(upstream.replace(/\/?$/, "/"), url));
    } catch (error) {
      json(response, { error: String(error) }, 502);
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${server.address().port}/`;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url, asked, close };
}

function packument({ manifest, bytes, file }, url) {
  const { name, version } = manifest;
  const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  const shasum = createHash("sha1").update(bytes).digest("hex");
  const dist = { tarball: `${url}${name}/-/${file}`, integrity, shasum };
  const time = { created: "2026-01-01T00:00:00.000Z", modified: "2026-01-01T00:00:00.000Z", [version]: "2026-01-01T00:00:00.000Z" };
  return { name, "dist-tags": { latest: version }, versions: { [version]: { ...manifest, dist } }, time };
}

function json(response, value, status = 200) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

/** package/package.json of a tarball: blocks of 512 bytes, the name first, the size in octal at 124. */
function manifestOf(bytes) {
  const tar = gunzipSync(bytes);
  for (let at = 0; at + 512 <= tar.length; ) {
    const name = tar.toString("latin1", at, at + 100).replace(/\0.*/s, "");
    const size = Number.parseInt(tar.toString("latin1", at + 124, at + 136), 8) || 0;
    if (name === "package/package.json") return JSON.parse(tar.toString("utf8", at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new Error("a tarball without package/package.json");
}
