// Electron's archive: what native code opens is unpacked beside it. Electron itself does not run here. So the archive's layout is looked at, the
// platform's package is loaded from the unpacked folder, and the code runs from a folder that is named as the archive, with the model beside it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "../../../scripts/paths.mjs";

/** What examples/electron tells electron-builder, and docs/BUNDLERS.md its users and those of Electron Forge. */
const { build } = JSON.parse(readFileSync(join(root, "examples", "electron", "package.json"), "utf8"));
const UNPACK = `{${build.asarUnpack.join(",")}}`;
/** Of zStream's, what an app's processes and pages load out of the archive. */
const PACKED = ["index.js", "electron/main.js", "electron/engine-process.js", "electron/preload.cjs", "electron/renderer.js"];

export async function asar(application) {
  const { createPackageWithOptions, listPackage, extractAll } = await import(
    pathToFileURL(application.tool("@electron/asar", "@electron/asar/lib/asar.js"))
  );
  const archive = application.path("resources", "app.asar");
  application.take("app.mjs", "app/app.mjs");
  application.take("node_modules", "app/node_modules");
  await createPackageWithOptions(application.path("app"), archive, { unpack: UNPACK });

  const unpacked = application.path("resources", "app.asar.unpacked", "node_modules");
  const [platform] = readdirSync(`${unpacked}/@zstream`);
  const addon = `@zstream/${platform}/prebuilds/${platform.split("-").slice(0, 2).join("-")}/node.napi.node`;
  for (const name of [`@zstream/${platform}/index.js`, addon, "zstream/models/demo/demo.gguf"]) {
    if (!existsSync(`${unpacked}/${name}`)) throw new Error(`${name} was not unpacked`);
  }
  const packed = listPackage(archive, { isPack: false }).map((name) => name.replaceAll("\\", "/"));
  for (const name of PACKED) {
    if (!packed.includes(`/node_modules/zstream/dist/${name}`)) throw new Error(`zstream's ${name} is not in the archive`);
    if (existsSync(`${unpacked}/zstream/dist/${name}`)) throw new Error(`zstream's ${name} is not only in the archive`);
  }

  application.remove("app", "node_modules");
  const loaded = await application.node(["--print", `typeof require(${JSON.stringify(`${unpacked}/@zstream/${platform}`)})`]);
  if (loaded.trim() !== "object") throw new Error(`the unpacked package gives ${loaded}`);
  extractAll(archive, application.path("extracted.asar"));
  application.take("resources/app.asar.unpacked", "extracted.asar.unpacked");
  application.remove("extracted.asar/node_modules/zstream/models");
  await application.streams(["extracted.asar/app.mjs"]);
}
