// Owns the curve of row c: the same three times at several settings of the two engines that can trade one for another. llama-server's
// micro-batch bounds how long a step is; zStream's latencyTargetMs says it.
import { row as c, joins } from "./c-long-prompt-joins.mjs";

const latencyTargetsMs = [50, 150, 300, 600, 1200];
const microBatches = [32, 64, 128, 512, 2048];

export const row = {
  name: "curve",
  title: "row c at several settings",
  models: c.models,
  engine: c.engine,
  measure: joins,
  variants: [
    ...latencyTargetsMs.map((latencyTargetMs) => ({
      contender: "zstream",
      label: `latencyTargetMs ${latencyTargetMs}`,
      options: { latencyTargetMs },
    })),
    ...microBatches.map((tokens) => ({
      contender: "llama-server",
      label: `-b ${tokens} -ub ${tokens}`,
      options: { args: ["-b", tokens, "-ub", tokens] },
    })),
  ],
  figures: c.figures.map(({ label, unit, measure }) => ({ label, unit, measure })),
};
