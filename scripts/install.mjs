// Owns npm's install step: takes a prebuilt addon if one fits this machine, else builds one. Only what changed is built.
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { addonIsCurrent, buildAddon } from "./build.mjs";
import { root } from "./paths.mjs";
import { main, say } from "./say.mjs";

await main(async () => {
  if (isForced() === false && hasPrebuild()) return;
  if (addonIsCurrent()) return;
  if (!hasSources()) return say("native/node has no sources yet: the addon is not built");
  await buildAddon();
  say("the native addon is built");
});

/** A build option in the environment, or npm's --build-from-source, means that a prebuild will not do. */
function isForced() {
  const options = Object.keys(process.env).filter((name) => /^ZSE_(CUDA|METAL|VULKAN|SANITIZE|BUILD_TYPE)$/.test(name));
  return options.length > 0 || process.env.npm_config_build_from_source !== undefined;
}

function hasPrebuild() {
  if (!existsSync(join(root, "prebuilds"))) return false;
  try {
    createRequire(import.meta.url)("node-gyp-build").resolve(root);
    return true;
  } catch {
    return false;
  }
}

function hasSources() {
  return readdirSync(join(root, "native", "node")).some((name) => name.endsWith(".cpp"));
}
