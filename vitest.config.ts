import { defineConfig } from "vitest/config";

// "unit" needs only the TypeScript; "addon" and "http" need the built addon and the demo model. Test files run in
// child processes, never in worker threads: several of them fork, close and crash things on purpose.
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
        // One file at a time: each opens models whose threads want all the cores, and some of them measure time or memory.
        test: {
          name: "addon",
          include: ["test/addon/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          execArgv: ["--expose-gc"],
        },
      },
      {
        extends: true,
        // Real clients over real sockets; a file at a time, as above, and after the others.
        test: {
          name: "http",
          sequence: { groupOrder: 1 },
          include: ["test/http/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          execArgv: ["--expose-gc"],
        },
      },
      {
        extends: true,
        test: {
          name: "browser",
          sequence: { groupOrder: 2 },
          include: ["test/browser/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
