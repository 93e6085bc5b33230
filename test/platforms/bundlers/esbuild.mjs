// esbuild: nothing has to be set while node_modules lies beside the result; --external:zstream is the safe way.
import { pathToFileURL } from "node:url";
import { ENGINE, NAMES_THE_SETTING } from "./bench.mjs";

export async function esbuild(application) {
  const { build } = await import(pathToFileURL(application.tool("esbuild", "esbuild/lib/main.js")));
  for (const format of ["esm", "cjs"]) {
    for (const external of [[], ["zstream"]]) {
      if (format === "cjs" && external.length > 0 && !process.features.require_module) continue;
      const result = `out/${external.length > 0 ? "external" : "bundled"}.${format === "esm" ? "mjs" : "cjs"}`;
      await build({
        entryPoints: [application.path("app.mjs")],
        outfile: application.path(result),
        bundle: true,
        platform: "node",
        format,
        external,
        logLevel: "error",
      });
      await application.streams([result]);
      if (external.length > 0) continue;
      await application.alone([result], NAMES_THE_SETTING);
      await application.alone([result, ...ENGINE], "done");
    }
  }
}
