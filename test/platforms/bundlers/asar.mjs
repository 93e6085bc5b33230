// Electron's archive: what native code opens is unpacked beside it. Electron itself does not run here. So the archive's layout is looked at, the
// platform's package is loaded from the unpacked folder, and the code runs from a folder that is named as the archive, with the model beside it.
import { existsSync, readdirSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** As docs/BUNDLERS.md tells users of electron-builder (asarUnpack) and Electron Forge (asar.unpack). */
const UNPACK = "{**/node_modules/@zstream/**,**/models/demo/**}";

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
  if (!packed.includes("/node_modules/zstream/dist/index.js")) throw new Error("zstream's JavaScript is not in the archive");

  application.remove("app", "node_modules");
  const loaded = await application.node(["--print", `typeof require(${JSON.stringify(`${unpacked}/@zstream/${platform}`)})`]);
  if (loaded.trim() !== "object") throw new Error(`the unpacked package gives ${loaded}`);
  extractAll(archive, application.path("extracted.asar"));
  application.take("resources/app.asar.unpacked", "extracted.asar.unpacked");
  application.remove("extracted.asar/node_modules/zstream/models");
  await application.streams(["extracted.asar/app.mjs"]);
}
