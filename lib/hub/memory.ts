// Owns asking the system how much memory there is: of this machine, or of the container that the process runs in. Any thread.

import { freemem, totalmem } from "node:os";
import type { Memory } from "./models.js";

export function memoryHere(): Memory {
  const whole = totalmem();
  const allowed = process.constrainedMemory?.() ?? 0; // 0, or more than there is: nobody constrains it
  const total = allowed > 0 && allowed < whole ? allowed : whole;
  // macOS counts what it would give back at once as taken.
  if (process.platform === "darwin") return { total, available: undefined };
  const { availableMemory } = process as { availableMemory?: () => number };
  return { total, available: availableMemory?.call(process) ?? freemem() };
}
