// The package for Vulkan, for real: installed beside zstream and found by the same engine; the demo model's text as on the CPU, in streams side by
// side and after a cancel; and a context that fits nowhere, which is refused before it takes memory. A driver that computes on the CPU will do: ggml
// takes such a one where it is named alone (GGML_VK_VISIBLE_DEVICES).
// The tools: apt-get install mesa-vulkan-drivers. The library: npm run prebuilt -- vulkan-linux-x64.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, Skip } from "../../scripts/farm.mjs";
import { npmScript } from "../../scripts/npm.mjs";

const program = `
import { ZSE } from "zstream";
const ask = (text) => [{ role: "user", content: text }];
const told = async (device) => {
  const model = new ZSE(undefined, { device, maxStreams: 4 });
  await model.ready;
  const leave = new AbortController();
  const left = model.chat(ask("Tell me a story"), { maxTokens: 400, signal: leave.signal }).catch(() => undefined);
  const texts = ["Tell me a story", "Who are you?"].map((text) => model.chat(ask(text), { maxTokens: 24, temperature: 0 }));
  leave.abort();
  const all = (await Promise.all(texts)).map(({ text }) => text);
  await left;
  const { device: used } = model.info;
  await model.close();
  return [used, ...all];
};
const large = new ZSE(undefined, { device: "vulkan", contextSize: 16_777_216, maxStreams: 100 });
const refused = await large.ready.then(() => "opened", ({ code }) => code);
await large.close();
const [gpu, ...texts] = await told("vulkan");
const [cpu, ...same] = await told("cpu");
console.log("told: " + JSON.stringify({ refused, gpu, cpu, texts, same: texts.join() === same.join() }));
`;

/** `project`: an empty folder. */
export async function vulkan({ packed, registry, project }) {
  if (!packed.some((name) => name.startsWith("zstream-vulkan-linux-x64-")))
    throw new Skip("the library was not prebuilt: npm run prebuilt -- vulkan-linux-x64");
  writeFileSync(join(project, ".npmrc"), `registry=${registry}\n`);
  const install = [npmScript(), "install", "--no-audit", "--no-fund", "zstream", "@zstream/vulkan-linux-x64"];
  await run([process.execPath, ...install], project, { node: process.execPath });
  const env = { GGML_VK_VISIBLE_DEVICES: "0" };
  const devices = await run([process.execPath, "node_modules/zstream/dist/cli/main.js", "devices"], project, { env });
  const state = /^@zstream\/vulkan-linux-x64\s+(.*)$/m.exec(devices)?.[1];
  if (/no device|libvulkan/.test(state)) throw new Skip(`no driver: apt-get install mesa-vulkan-drivers (${state})`);
  if (state !== "used") throw new Error(devices);
  writeFileSync(join(project, "told.mjs"), program);
  const out = await run([process.execPath, "told.mjs"], project, { env });
  const told = JSON.parse(/^told: (.*)$/m.exec(out)?.[1] ?? "{}");
  if (told.refused !== "UNSUPPORTED") throw new Error(`a context that fits nowhere: ${told.refused}`);
  if (!told.gpu?.startsWith("Vulkan") || told.cpu !== "CPU" || !told.same) throw new Error(out.slice(-1500));
}
