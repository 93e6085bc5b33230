// The addon suite on Windows x64, under wine: `node test/platforms/wine-addon-suite.mjs [vitest's arguments]` runs test/addon by npm's node.exe and
// vitest, on the addon of `npm run prebuilt -- win32-x64`, in a copy of the repository (build/farm/wine-suite). What wine carries of it is in
// docs/PLATFORMS.md. The tools: apt-get install wine64.
import { Skip } from "../../scripts/farm.mjs";
import { platforms } from "../../scripts/platforms.mjs";
import { main, SetupError } from "../../scripts/say.mjs";
import { copySuite, vitestArguments } from "./addon-suite.mjs";
import { addRandomBytes, startWine } from "./windows.mjs";

await main(async () => {
  const windows = wine();
  addRandomBytes(windows);
  const folder = copySuite(
    platforms.find(({ name }) => name === "win32-x64"),
    "wine-suite",
  );
  const { status, text } = await windows.run([windows.node, ...vitestArguments(process.argv.slice(2))], folder, {}, 3_600_000);
  process.stdout.write(text);
  process.exitCode = typeof status === "number" ? status : 1;
});

function wine() {
  try {
    return startWine();
  } catch (error) {
    throw error instanceof Skip ? new SetupError(error.message) : error;
  }
}
