// Bun's `build --compile`: zStream's JavaScript goes into the executable, the engine and the model lie in node_modules beside it. An external
// zstream is not found by Bun's executables.
import { renameSync } from "node:fs";
import { join } from "node:path";
import { ENGINE, NAMES_THE_SETTING } from "./bench.mjs";

export async function bunCompile(application) {
  const bun = application.tool("bun", "bun/bin/bun.exe", ["bun@1"]);
  await application.run([bun, "build", "--compile", "app.mjs", "--outfile", "app.exe"]);
  const command = (at) => [join(at, "app.exe")];
  await application.alone(["app.exe", ...ENGINE], "done", { command });
  renameSync(application.path("node_modules"), application.path("away")); // Bun writes the path of this machine into it
  await application.alone(["app.exe"], NAMES_THE_SETTING, { command });
}
