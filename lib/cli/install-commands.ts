// Owns how the tools of `zse build` are installed: by npm, which most machines have beside Node, else by whichever package manager runs us or is
// there. Pure, but for the environment.

export interface InstallCommand {
  name: string;
  file: string;
  args: string[];
  shell: boolean;
}

/** Each leaves a node_modules folder in the current one, runs no scripts, and takes the folder for a project of its own. */
const managers: Record<string, string[]> = {
  npm: ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
  pnpm: ["install", "--ignore-scripts", "--ignore-workspace", "--no-lockfile", "--reporter=silent"],
  yarn: ["install"],
  bun: ["install", "--ignore-scripts", "--no-save", "--silent"],
};

/** Deno runs no scripts of packages unless it is told to. */
const DENO = ["install", "--node-modules-dir=auto", "--no-lock", "--quiet"];

/** The commands to try, the best first; one that is not there gives ENOENT. */
export function installCommands(env: NodeJS.ProcessEnv = process.env, platform: string = process.platform): InstallCommand[] {
  const windows = platform === "win32";
  const runner = runnerOf(env);
  const found = Object.entries(managers).map(([name, args]): InstallCommand => {
    if (name === runner?.name) return { name, ...runner.command(args), shell: false };
    return { name, file: windows ? `${name}.${name === "bun" ? "exe" : "cmd"}` : name, args, shell: windows && name !== "bun" };
  });
  const { bun, deno } = process.versions as { bun?: string; deno?: string };
  if (bun !== undefined) found.push({ name: "this Bun", file: process.execPath, args: managers.bun!, shell: false });
  if (deno !== undefined) found.push({ name: "this Deno", file: process.execPath, args: DENO, shell: false });
  return found;
}

/** The package manager that runs us, as it says itself: a script for Node, or a program. */
function runnerOf(env: NodeJS.ProcessEnv): { name: string; command(args: string[]): { file: string; args: string[] } } | undefined {
  const path = env.npm_execpath;
  const name = path === undefined ? undefined : /(?:^|[\\/])(npm|pnpm|yarn|bun)[^\\/]*$/.exec(path)?.[1];
  if (path === undefined || name === undefined) return undefined;
  const script = /\.[cm]?js$/.test(path);
  return { name, command: (args) => (script ? { file: process.execPath, args: [path, ...args] } : { file: path, args }) };
}

/**
 * The environment without what Yarn's Plug'n'Play adds to it. It tells each Node below it to find packages by the project's list alone, also for a
 * folder to compile in that lies in the project, or in a home folder that is one.
 */
export function withoutPnp(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  if (env.NODE_OPTIONS === undefined) return env;
  const path = String.raw`(?:"[^"]*\.pnp\.(?:cjs|loader\.mjs)"|\S*\.pnp\.(?:cjs|loader\.mjs))`;
  const options = env.NODE_OPTIONS.replace(new RegExp(String.raw`--(?:require|experimental-loader)\s+${path}`, "g"), "");
  return { ...env, NODE_OPTIONS: options.trim() };
}
