// Vite's builds for a server: packages stay external there unless ssr.noExternal names them.
import { pathToFileURL } from "node:url";
import { NAMES_THE_SETTING } from "./bench.mjs";

export async function vite(application) {
  const { build } = await import(pathToFileURL(application.tool("vite", "vite/dist/node/index.js")));
  for (const noExternal of [undefined, true]) {
    const folder = noExternal ? "bundled" : "external";
    await build({
      root: application.folder,
      configFile: false,
      logLevel: "error",
      ssr: { noExternal },
      build: { ssr: application.path("app.mjs"), outDir: folder },
    });
    const result = `${folder}/app.mjs`;
    await application.streams([result]);
    if (noExternal) await application.alone([result], NAMES_THE_SETTING);
  }
}
