// Owns the measuring process: one row on one contender, once. It loads the model, lets the row measure, prints its measures as one
// line of JSON and exits. Argument: JSON of a job (bench/lib/measure.mjs makes it).
import { contenders } from "../contenders/index.mjs";
import { rows } from "../rows/index.mjs";
import { Prompts } from "./prompts.mjs";

const job = JSON.parse(process.argv[2]);
job.startedAt = job.spawnedAt - performance.timeOrigin;
const row = rows.find(({ name }) => name === job.row);
const contender = contenders[job.contender];
const { open } = await import(`../contenders/${contender.module}`);
const engine = await open({ ...job, ...(await row.engine(job)), ...contender.options, ...job.options });
const measures = await row.measure(engine, { ...job, prompts: new Prompts(engine.tokenize, job.seed) });
await engine.close();
process.stdout.write(`${JSON.stringify(measures)}\n`);
// Work that a contender cannot cancel must not keep the process.
process.exit(0);
