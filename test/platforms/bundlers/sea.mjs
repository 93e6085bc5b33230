// Node's single executables: a bundle in CommonJS inside, node_modules beside. Node 26 makes one by itself; before that, postject puts the
// program into a copy of node.
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ENGINE, NAMES_THE_SETTING } from "./bench.mjs";

export async function sea(application) {
  const { build } = await import(pathToFileURL(application.tool("esbuild", "esbuild/lib/main.js")));
  await build({
    entryPoints: [application.path("app.mjs")],
    outfile: application.path("app.cjs"),
    bundle: true,
    platform: "node",
    format: "cjs",
    logLevel: "error",
  });
  const config = { main: "app.cjs", disableExperimentalSEAWarning: true };
  application.write("old.json", JSON.stringify({ ...config, output: "app.blob" }));
  application.write("new.json", JSON.stringify({ ...config, output: "new.exe" }));

  const old = application.nodeOf(22);
  await application.node(["--experimental-sea-config", "old.json"], { node: old });
  copyFileSync(old, application.path("old.exe"));
  chmodSync(application.path("old.exe"), 0o755);
  const postject = application.tool("postject", "postject/dist/cli.js");
  const fuse = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";
  await application.node([postject, "old.exe", "NODE_SEA_BLOB", "app.blob", "--sentinel-fuse", fuse, "--overwrite"]);
  await application.node(["--build-sea", "new.json"], { node: application.nodeOf(26) });

  for (const name of ["old.exe", "new.exe"]) {
    const command = (at) => [join(at, name)];
    await application.alone([name, ...ENGINE], "done", { command });
    await application.alone([name], NAMES_THE_SETTING, { command });
  }
}
