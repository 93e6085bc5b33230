// Owns the server that an agent talks to: `zse serve`'s app in this process, with the demo model behind it, and what is noted of the requests.
// The model is opened once for all turns.
import { ZSE } from "../../../dist/index.js";
import { App } from "../../../dist/server/app.js";
import { HttpServer } from "../../../dist/server/http-server.js";
import { openLog } from "../../../dist/server/log.js";
import { acting } from "./acting.mjs";

export const MODEL = "demo";
/** Agents' prompts have 10,000 to 30,000 tokens of the demo model's small vocabulary. */
const CONTEXT = 49_152;
/** Tokens. Of a shorter prompt the tools are a good part, and acting.mjs changes them. */
const LONG = 2000;

let opened;

export async function closeStage() {
  await opened?.close();
}

/** @param part what the model plays; @param most requests for replies that may come */
export async function openStage(part, most) {
  opened ??= new ZSE({ contextSize: CONTEXT, maxStreams: 2 });
  await opened.ready;
  const model = acting(opened, part);
  const lines = [];
  const app = new App(model, {
    name: MODEL,
    maxBodyBytes: 4 << 20,
    log: openLog("debug", { write: (line) => void lines.push(line.trim()) }),
  });
  const server = await HttpServer.listen(app, { port: 0, host: "127.0.0.1" });
  let sayTooMany;
  const tooMany = new Promise((resolve) => {
    sayTooMany = resolve;
  });
  model.onRequest = (number) => number > most && sayTooMany();
  return {
    base: server.address,
    model: MODEL,
    tooMany,
    /** Refusals of what was asked, a part that was not played to its end, and a conversation that did not find its beginning in the prompt cache. */
    async problems() {
      const known = lines.map((line) => JSON.parse(line));
      const refused = known.filter(({ status, path }) => status >= 400 && status !== 404 && path !== undefined);
      const last = await model.again;
      const isLost = last !== undefined && last.promptTokens > LONG && last.cachedTokens < last.promptTokens / 2;
      return [
        ...(isLost ? [`of the ${last.promptTokens} tokens of its last prompt only ${last.cachedTokens} were in the prompt cache`] : []),
        ...refused.map(({ status, path, error }) => `${path} was a ${status}: ${error}`),
        ...(model.missing === undefined ? [] : [`it never ${model.missing}`]),
      ];
    },
    log: () => lines.slice(-8),
    close: () => server.drain(0),
  };
}
