// Owns the formats of strings: for each a pattern of strings that have it. Pure data; any thread.
//
// A pattern may be narrower than its format (no address in quotation marks, no time zone but Z): what is written by it is valid for every
// reader. Schema libraries send a pattern of their own beside a format; theirs are listed, so that ours, which match less, can stand for both.

const LEAP = "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
const DATE = `(?:${LEAP}-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8])))`;
const TIME = "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?";
const LABEL = "[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?";
const HOST = `${LABEL}(?:\\.${LABEL}){0,4}\\.[a-z]{2,12}`;
const BYTE = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]\\d|\\d)";
const UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

/** A pattern for each format that is enforced. */
export const FORMATS: ReadonlyMap<string, string> = new Map([
  ["date", `^${DATE}$`],
  ["time", `^${TIME}Z$`],
  ["date-time", `^${DATE}T${TIME}Z$`],
  [
    "duration",
    "^P(?:\\d{1,4}W|\\d{1,4}D(?:T\\d{1,4}[HM])?|\\d{1,4}Y(?:\\d{1,4}M)?|\\d{1,4}M(?:\\d{1,4}D)?|T\\d{1,4}H(?:\\d{1,4}M)?|T\\d{1,4}[MS])$",
  ],
  ["email", `^[a-z0-9]{1,32}(?:[.+_-][a-z0-9]{1,32}){0,2}@${HOST}$`],
  ["hostname", `^${HOST}$`],
  ["ipv4", `^(?:${BYTE}\\.){3}${BYTE}$`],
  ["ipv6", "^(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$"],
  [
    "uri",
    `^https?://${HOST}(?::[1-9]\\d{1,3})?(?:/[A-Za-z0-9._~-]{1,64}){0,16}/?(?:\\?[A-Za-z0-9._~=&-]{1,256})?(?:#[A-Za-z0-9._~-]{1,64})?$`,
  ],
  ["uuid", `^${UUID}$`],
]);

/** The same, shorter: where a maxLength stands beside the format. */
export const SHORT_FORMATS: ReadonlyMap<string, string> = new Map([
  ["email", "^[a-z0-9]{1,16}@[a-z0-9]{1,16}\\.[a-z]{2,4}$"],
  ["hostname", "^[a-z0-9]{1,16}\\.[a-z]{2,4}$"],
  ["uri", "^https://[a-z0-9]{1,16}\\.[a-z]{2,4}(?:/[a-z0-9]{1,16})?$"],
]);

/** Formats that say nothing about a text: of numbers, and of how one is shown. What zod calls its checks (`regex`, `starts_with`) has a pattern beside it. */
export const NO_FORMATS: ReadonlySet<string> = new Set([
  ...["int32", "int64", "uint32", "uint64", "float", "double", "float32", "float64", "safeint", "password"],
]);

const ZOD_DATE =
  "(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))";

/** What zod 4 and arktype 2 say beside a format that the pattern above stands for. test/unit/schema.test.ts asks them. */
const SAID_TOO: Readonly<Record<string, readonly string[]>> = {
  date: [`^${ZOD_DATE}$`],
  "date-time": [`^${ZOD_DATE}T(?:(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d+)?(?:Z))$`],
  duration: ["^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$"],
  email: [
    "^(?:[A-Za-z0-9_'+\\-]+\\.)*[A-Za-z0-9_'+\\-]*[A-Za-z0-9_+-]@(?:[A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
    "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
    "^[\\w%+.-]+@[\\d.A-Za-z-]+\\.[A-Za-z]{2,}$",
  ],
  hostname: ["^(?=.{1,253}\\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\\.?$"],
  ipv4: ["^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])$"],
  ipv6: [
    "^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,7}:|([0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,5}(:[0-9a-fA-F]{1,4}){1,2}|([0-9a-fA-F]{1,4}:){1,4}(:[0-9a-fA-F]{1,4}){1,3}|([0-9a-fA-F]{1,4}:){1,3}(:[0-9a-fA-F]{1,4}){1,4}|([0-9a-fA-F]{1,4}:){1,2}(:[0-9a-fA-F]{1,4}){1,5}|[0-9a-fA-F]{1,4}:((:[0-9a-fA-F]{1,4}){1,6})|:((:[0-9a-fA-F]{1,4}){1,7}|:))$",
  ],
  uuid: [
    "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$",
    "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12})$",
  ],
};

/** Whether every string of our pattern for the format matches this one too. */
export function isSaidTwice(format: string, pattern: string): boolean {
  return Object.hasOwn(SAID_TOO, format) && SAID_TOO[format]!.includes(pattern);
}
