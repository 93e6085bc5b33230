// Owns what the benchmark says about repeated measurements: median, spread, quantiles, and the ratio of two contenders. Pure.
import { max, median, medianAbsoluteDeviation, min, quantile } from "simple-statistics";

/**
 * Median, extremes, and spread of one measure's repetitions. The spread is the median absolute deviation as a part of the
 * median: a single disturbed repetition moves neither.
 */
export function summarize(samples) {
  if (samples.length === 0) throw new Error("nothing was measured");
  for (const value of samples) if (!Number.isFinite(value)) throw new Error(`a measurement is ${value}`);
  const middle = median(samples);
  return {
    median: middle,
    min: min(samples),
    max: max(samples),
    spread: middle === 0 ? 0 : medianAbsoluteDeviation(samples) / Math.abs(middle),
  };
}

/**
 * Ours over theirs, repetition by repetition: the two of one repetition ran one after the other, so that what slowed the machine
 * for a while slowed both. The ratio reported is the median of those.
 */
export function compare(ours, theirs) {
  if (ours.length !== theirs.length) throw new Error(`${ours.length} repetitions cannot be compared with ${theirs.length}`);
  return summarize(ours.map((value, index) => value / theirs[index]));
}

/** The value that the share `p` of the samples does not exceed. */
export function percentile(samples, p) {
  if (samples.length === 0) throw new Error("nothing was measured");
  return quantile(samples, p);
}

/**
 * Whether a value reaches its goal, which is one of atLeast and atMost.
 * @returns {boolean | undefined} undefined where there is no goal
 */
export function reaches(goal, value) {
  if (goal?.atLeast !== undefined) return value >= goal.atLeast;
  if (goal?.atMost !== undefined) return value <= goal.atMost;
  return undefined;
}
