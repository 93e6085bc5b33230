import { defineConfig } from "vitest/config";

// "unit" needs only the TypeScript; "addon" and "http" need the built addon and the demo model. Test files run in
// child processes, never in worker threads: several of them fork, close and crash things on purpose.

// One file at a time: each opens models whose threads want all the cores, and some of them measure time or memory.
const onTheDemoModel = { testTimeout: 60_000, hookTimeout: 60_000, fileParallelism: false, execArgv: ["--expose-gc"] };

export default defineConfig({
  test: {
    pool: "forks",
    include: [],
    passWithNoTests: true,
    projects: [
      {
        extends: true,
        test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: 10_000 },
      },
      {
        extends: true,
        test: {
          name: "addon",
          include: ["test/addon/**/*.test.ts"],
          ...onTheDemoModel,
        },
      },
      {
        extends: true,
        // Test kits of others, which are not on npm: scripts/test-kits.mjs.
        test: { name: "kits", include: process.env.LANGCHAIN_KIT === undefined ? [] : ["test/kits/**/*.test.ts"], ...onTheDemoModel },
      },
      {
        extends: true,
        // Real clients over real sockets, after the others.
        test: {
          name: "http",
          sequence: { groupOrder: 1 },
          include: ["test/http/**/*.test.ts"],
          ...onTheDemoModel,
        },
      },
      {
        extends: true,
        // Models of a hub that misbehaves in every way; the addon is needed for the few tests that open one.
        test: { name: "hub", sequence: { groupOrder: 1 }, include: ["test/hub/**/*.test.ts"], ...onTheDemoModel },
      },
      {
        extends: true,
        // Windows of an Electron app over a stand-in for Electron, and the process that their models run in.
        test: {
          name: "electron",
          sequence: { groupOrder: 2 },
          include: ["test/electron/**/*.test.ts"],
          ...onTheDemoModel,
        },
      },
      {
        extends: true,
        // Attacks, in children of their own.
        test: {
          name: "hostile",
          sequence: { groupOrder: 3 },
          include: ["test/hostile/**/*.test.ts"],
          ...onTheDemoModel,
          testTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: {
          name: "browser",
          sequence: { groupOrder: 4 },
          include: ["test/browser/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
