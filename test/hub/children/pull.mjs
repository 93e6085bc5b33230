// Pulls the model that it is given and says each event as a line of JSON, then the model.
import { pull } from "../../../dist/index.js";

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
try {
  say(await pull(process.argv[2], { onProgress: (fraction, event) => say({ fraction, event }) }));
} catch ({ code, message }) {
  say({ code, message });
  process.exitCode = 1;
}
