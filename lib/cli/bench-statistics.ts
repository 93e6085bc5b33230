// Owns what the benchmark says of repeated measurements. Pure.

/** Of one measure's repetitions. */
export interface Spread {
  median: number;
  least: number;
  most: number;
}

/** @throws Error where nothing was measured, or a measurement is no number: nothing is made up for it */
export function spreadOf(samples: readonly number[]): Spread {
  if (samples.length === 0) throw new Error("nothing was measured");
  const wrong = samples.find((value) => !Number.isFinite(value));
  if (wrong !== undefined) throw new Error(`a measurement is ${wrong}`);
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return {
    median: (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2,
    least: sorted[0]!,
    most: sorted[sorted.length - 1]!,
  };
}
