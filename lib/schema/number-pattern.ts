// Owns numbers between two bounds, as a pattern of their text. Pure; any thread. llama.cpp's converter takes it beside type "number" (patch 0021).
//
// What is written has at most 15 significant digits and no exponent. So no two texts are one double, and order among texts is order among doubles:
// a text within the bounds is valid to whoever parses it. All values of one pattern are whole numbers of a unit, a power of ten.

/** Digits that a double holds, whatever they are. */
const DIGITS = 15;
/** Of these, digits before the point where nothing bounds a number; those behind it are left for larger ones. */
const UNBOUNDED = 9;
const ANY_DIGIT = "[0-9]";
const MINUS = "[\\x2D]";
const POINT = "[\\x2E]";

export interface NumberBounds {
  /** Inclusive and exclusive; infinite where there is none. */
  least: number;
  most: number;
  above: number;
  below: number;
}

/** undefined where no number that can be written lies between them. */
export function numberPattern(bounds: NumberBounds): string | undefined {
  const { least, most, above, below } = bounds;
  const negative = magnitudes({ least: -most, most: -least, above: Math.max(-below, 0), below: -above });
  const positive = magnitudes({ least: Math.max(least, 0), most, above, below });
  const options = [...negative.map((text) => `${MINUS}${text}`), ...positive];
  return options.length === 0 ? undefined : `^(${options.join("|")})$`;
}

/** Numbers from 0. */
function magnitudes(bounds: NumberBounds): string[] {
  const top = Math.min(bounds.most, bounds.below);
  if (top < 0) return [];
  if (Number.isFinite(top) && top < 10 ** (DIGITS - 1)) return between(bounds, DIGITS - String(Math.floor(top)).length);
  const small = between(
    { ...bounds, most: Math.min(bounds.most, 10 ** UNBOUNDED), below: Math.min(bounds.below, 10 ** UNBOUNDED) },
    DIGITS - UNBOUNDED,
  );
  return [...small, ...between({ ...bounds, least: Math.max(bounds.least, 10 ** UNBOUNDED) }, 0)];
}

function between({ least, most, above, below }: NumberBounds, decimals: number): string[] {
  const unit = 10n ** BigInt(decimals);
  const largest = 10n ** BigInt(DIGITS) - 1n;
  const from = max(unitsOf(Math.max(least, 0), decimals, "up"), above < 0 ? 0n : unitsOf(above, decimals, "down") + 1n);
  const limit = Number.isFinite(most) ? unitsOf(most, decimals, "down") : largest;
  const to = min(min(limit, largest), Number.isFinite(below) ? unitsOf(below, decimals, "up") - 1n : largest);
  if (from > to) return [];
  const [low, high] = [from / unit, to / unit];
  const fraction = (units: bigint) => (decimals === 0 ? "" : String(units % unit).padStart(decimals, "0"));
  const [behindLow, behindHigh] = [fraction(from), fraction(to)];
  if (low === high) return [`${integers(low, high)}${point(behindLow, behindHigh, decimals)}`];
  // Where any fraction will do, the ends are as what lies between them.
  const [first, last] = [/^0*$/.test(behindLow) ? low : low + 1n, /^9*$/.test(behindHigh) ? high : high - 1n];
  return [
    ...(first === low ? [] : [`${integers(low, low)}${point(behindLow, undefined, decimals)}`]),
    ...(first <= last ? [`${integers(first, last)}${point(undefined, undefined, decimals)}`] : []),
    ...(last === high ? [] : [`${integers(high, high)}${point(undefined, behindHigh, decimals)}`]),
  ];
}

/** A number from 0 in units of 10^-decimals, by its shortest decimal text. */
function unitsOf(value: number, decimals: number, round: "up" | "down"): bigint {
  const [digits, exponent = "0"] = String(value).split("e");
  const [whole, fraction = ""] = digits!.split(".");
  const shift = decimals + Number(exponent) - fraction.length;
  const all = BigInt(whole! + fraction);
  if (shift >= 0) return all * 10n ** BigInt(shift);
  const divisor = 10n ** BigInt(-shift);
  return all / divisor + (round === "up" && all % divisor > 0n ? 1n : 0n);
}

// ---- digits before the point ----

/** Whole numbers without leading zeros. */
function integers(from: bigint, to: bigint): string {
  const options: string[] = from === 0n ? ["[0]"] : [];
  for (let low = max(from, 1n); low <= to; ) {
    // All numbers of some lengths are one piece; otherwise those of one length.
    const length = String(low).length;
    const full = low === 10n ** BigInt(length - 1) ? fullLengths(low, to) : 0;
    const high = full > 0 ? 10n ** BigInt(length - 1 + full) - 1n : min(to, 10n ** BigInt(length) - 1n);
    if (full > 0) options.push(`[1-9]${repeated(length - 1, length - 2 + full)}`);
    else options.push(...ofOneLength(String(low), String(high)));
    low = high + 1n;
  }
  return options.length === 1 ? options[0]! : `(${options.join("|")})`;
}

/** How many lengths, from that of a power of ten, have all their numbers up to `to`. */
function fullLengths(power: bigint, to: bigint): number {
  let count = 0;
  for (let next = power * 10n; next - 1n <= to; next *= 10n) count += 1;
  return count;
}

function ofOneLength(low: string, high: string): string[] {
  if (low.length === 0) return [""];
  const rest = low.length - 1;
  const [first, last] = [Number(low[0]), Number(high[0])];
  if (first === last) return ofOneLength(low.slice(1), high.slice(1)).map((text) => `[${first}]${text}`);
  const atLow = /^0*$/.test(low.slice(1));
  const atHigh = /^9*$/.test(high.slice(1));
  const options = atLow ? [] : ofOneLength(low.slice(1), "9".repeat(rest)).map((text) => `[${first}]${text}`);
  const [from, to] = [atLow ? first : first + 1, atHigh ? last : last - 1];
  if (from <= to) options.push(`${digit(from, to)}${repeated(rest, rest)}`);
  return atHigh ? options : [...options, ...ofOneLength("0".repeat(rest), high.slice(1)).map((text) => `[${last}]${text}`)];
}

// ---- digits behind it ----

/** Those behind the point and the point, or nothing: a fraction of fewer digits is one that ends in zeros. */
function point(low: string | undefined, high: string | undefined, decimals: number): string {
  const { ends, more } = fraction(low, high, decimals);
  if (more === undefined) return "";
  const any = low === undefined && high === undefined;
  if (any) return `(${POINT}${more})?`;
  return ends ? `(${POINT}(${more}))?` : `${POINT}(${more})`;
}

/** `low`, `high`: the digits that are still to come of a bound that all before agree with. `ends`: nothing may follow; `more`: what may. */
function fraction(low: string | undefined, high: string | undefined, left: number): { ends: boolean; more: string | undefined } {
  const least = low === undefined || /^0*$/.test(low) ? undefined : low;
  const ends = least === undefined;
  if (left === 0) return { ends, more: undefined };
  if (least === undefined && high === undefined) return { ends, more: repeated(1, left) };
  const [first, last] = [Number(least?.[0] ?? 0), Number(high?.[0] ?? 9)];
  const options: string[] = [];
  const step = (one: number) => {
    const rest = fraction(one === first ? least?.slice(1) : undefined, one === last ? high?.slice(1) : undefined, left - 1);
    if (rest.more === undefined) options.push(`[${one}]`);
    else options.push(rest.ends ? `[${one}](${rest.more})?` : `[${one}](${rest.more})`);
  };
  step(first);
  if (first + 1 <= last - 1) options.push(`${digit(first + 1, last - 1)}${repeated(0, left - 1)}`);
  if (last > first) step(last);
  return { ends, more: options.join("|") };
}

function digit(from: number, to: number): string {
  return from === to ? `[${from}]` : `[${from}-${to}]`;
}

function repeated(least: number, most: number): string {
  if (most === 0) return "";
  if (least === 1 && most === 1) return ANY_DIGIT;
  return least === most ? `${ANY_DIGIT}{${least}}` : `${ANY_DIGIT}{${least},${most}}`;
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
