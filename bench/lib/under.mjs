// Owns what every measuring process is started by, where ZSE_BENCH_UNDER names a command: one that gives it the machine for itself, or pins it
// to cores ("taskset -c 0,1"). Its words are those between spaces. It must hand on the output and the exit code.

/** What a row says that was measured so. */
export const underNote = "Every measuring process was started by a command that stopped other programs or pinned it (ZSE_BENCH_UNDER).";

export const isUnder = () => under().length > 0;

/** The command and its arguments, as they are to be started. */
export function under(...command) {
  const words = (process.env.ZSE_BENCH_UNDER ?? "").split(" ").filter(Boolean);
  return [...words, ...command];
}
