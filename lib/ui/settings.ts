// Owns what a person has chosen for all conversations, and the server's key. Runs in a page. Choices are kept in localStorage; the key only as long as
// the tab is open (sessionStorage), since whoever uses this browser next must not find it.

import { Store } from "./parts/store.js";

export type Theme = "system" | "light" | "dark";

export interface Choices {
  theme: Theme;
  /** Undefined: the first one that the server has. */
  model: string | undefined;
  /** A message of role `system` before each conversation. */
  system: string;
  /** Undefined, here and below: what the server does by itself. 0 to 5. */
  temperature: number | undefined;
  /** Tokens, from 1. */
  longestReply: number | undefined;
  effort: Effort | undefined;
  /** OpenAI's `tools`, as JSON. */
  tools: string;
}

export const EFFORTS = ["none", "minimal", "low", "medium", "high"] as const;
export type Effort = (typeof EFFORTS)[number];

const DARK = matchMedia("(prefers-color-scheme: dark)");
const CHOICES = "zstream:choices";
const KEY = "zstream:key";
const NONE: Choices = {
  theme: "system",
  model: undefined,
  system: "",
  temperature: undefined,
  longestReply: undefined,
  effort: undefined,
  tools: "",
};

export class Settings extends Store<Choices> {
  constructor() {
    super(readChoices());
    this.#show();
    DARK.addEventListener("change", () => this.choose({})); // who shows which of both it is must be drawn again
  }

  choose(some: Partial<Choices>): void {
    this.set({ ...this.state(), ...some });
    write(() => localStorage.setItem(CHOICES, JSON.stringify(this.state())));
    this.#show();
  }

  /** Whether the page is dark now, by choice or by the system's. */
  get isDark(): boolean {
    const { theme } = this.state();
    return theme === "dark" || (theme === "system" && DARK.matches);
  }

  #show(): void {
    document.documentElement.dataset.theme = this.state().theme;
  }
}

export function readKey(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

export function writeKey(key: string): void {
  write(() => sessionStorage.setItem(KEY, key));
}

/** What is wrong with a text that is to be tools; undefined where nothing is. */
export function toolsProblem(text: string): string | undefined {
  if (text.trim() === "") return undefined;
  try {
    const tools = JSON.parse(text) as unknown;
    const isTool = (one: unknown) => typeof (one as { function?: { name?: unknown } } | null)?.function?.name === "string";
    if (Array.isArray(tools) && tools.every(isTool)) return undefined;
    return 'Tools are an array such as [{"type": "function", "function": {"name": "get_weather", "parameters": {…}}}].';
  } catch (error) {
    return `Tools are JSON, and this is none: ${(error as Error).message}.`;
  }
}

/** Only what is of the right kind counts: anything may have written there. */
function readChoices(): Choices {
  let kept: Partial<Record<keyof Choices, unknown>>;
  try {
    kept = (JSON.parse(localStorage.getItem(CHOICES) ?? "{}") as typeof kept | null) ?? {};
  } catch {
    return NONE;
  }
  const { theme, model, system, temperature, longestReply, effort, tools } = kept;
  const number = (value: unknown, min: number, max: number) =>
    typeof value === "number" && value >= min && value <= max ? value : undefined;
  return {
    theme: theme === "light" || theme === "dark" ? theme : "system",
    model: typeof model === "string" ? model : undefined,
    system: typeof system === "string" ? system : "",
    temperature: number(temperature, 0, 5),
    longestReply: number(longestReply, 1, Number.MAX_SAFE_INTEGER),
    effort: EFFORTS.find((one) => one === effort),
    tools: typeof tools === "string" && toolsProblem(tools) === undefined ? tools : "",
  };
}

/** A store that is full or forbidden keeps nothing, and the page works all the same. */
function write(how: () => void): void {
  try {
    how();
  } catch {}
}
