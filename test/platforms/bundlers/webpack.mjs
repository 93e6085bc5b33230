// webpack 5 with target "node": both ways work; bundled, it copies the demo model beside its result by itself.

import { renameSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { NAMES_THE_SETTING } from "./bench.mjs";

export async function webpack(application) {
  const tool = createRequire(application.tool("webpack", "webpack/package.json", ["webpack@5"]))("webpack");
  for (const external of [false, true]) {
    const folder = external ? "external" : "bundled";
    await new Promise((done, fail) =>
      tool(
        {
          mode: "production",
          target: "node20",
          context: application.folder,
          entry: "./app.mjs",
          output: { path: application.path(folder), filename: "app.mjs", module: true, chunkFormat: "module" },
          experiments: { outputModule: true },
          externals: external ? { zstream: "module zstream", "zstream/sse": "module zstream/sse" } : {},
        },
        (error, stats) => {
          if (error) return fail(error);
          if (stats.hasErrors() || stats.hasWarnings())
            return fail(new Error(stats.toString({ all: false, errors: true, warnings: true })));
          done();
        },
      ),
    );
    await application.streams([`${folder}/app.mjs`]);
    if (external) continue;
    // As on another machine: the paths of this one, which webpack writes into the bundle, lead nowhere.
    renameSync(application.path("node_modules"), application.path("away"));
    await application.alone([`${folder}/app.mjs`], NAMES_THE_SETTING);
    // The demo model is beside it, so the platform's package is all that it needs.
    await application.alone([folder, "away/@zstream"], "done", { command: (at) => [process.execPath, join(at, folder, "app.mjs")] });
    renameSync(application.path("away"), application.path("node_modules"));
  }
}
