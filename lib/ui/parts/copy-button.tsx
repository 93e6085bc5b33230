// Owns the button that copies a text. Runs in a page.

import { useEffect, useState } from "preact/hooks";
import { Icon } from "./icons.js";

/** Time (ms) for which it says that it has. */
const SAID_MS = 1500;

export function CopyButton({ text, what }: { text: () => string; what: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), SAID_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => setCopied(await copyText(text()));
  return (
    <button type="button" class="quiet small" onClick={copy} title={what} aria-label={copied ? "Copied" : what}>
      <Icon name={copied ? "done" : "copy"} />
    </button>
  );
}

/** Whether it could. Browsers have a clipboard only on this machine and over HTTPS; elsewhere an old way is tried. */
async function copyText(text: string): Promise<boolean> {
  try {
    if (navigator.clipboard !== undefined) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // Not permitted: the old way may be.
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
