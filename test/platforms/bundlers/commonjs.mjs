// require("zstream") from CommonJS, which Node takes since 20.19; and Jest, whose own require() takes ES modules from Node 24.9 on;
// both of its ways need --experimental-vm-modules.
export async function commonjs(application) {
  application.write(
    "app.cjs",
    `const { ZSE } = require("zstream");
const { toResponse } = require("zstream/sse");
const model = new ZSE();
model
  .chat([{ role: "user", content: "Tell me a story" }], { maxTokens: 8 })
  .then(async ({ text }) => (await model.close(), console.log(text.length > 5 && toResponse ? "done" : text)));
`,
  );
  await application.streams(["app.cjs"]);
}

export async function jest(application) {
  const test = (open) => `test("a reply", async () => {
  const { ZSE } = ${open};
  const model = new ZSE();
  const { text } = await model.chat([{ role: "user", content: "Tell me a story" }], { maxTokens: 8 });
  await model.close();
  expect(text.length).toBeGreaterThan(5);
});
`;
  const program = application.tool("jest", "jest/bin/jest.js");
  const args = ["--experimental-vm-modules", "--no-warnings", program, "--config", "{}", "--watchman=false"];
  const check = (out) => {
    if (!/Tests: +1 passed, 1 total/.test(out)) throw new Error(out.slice(-1500));
  };
  application.write("import.test.js", test('await import("zstream")'));
  check(await application.node([...args, "import.test.js"]));
  application.write("require.test.js", test('require("zstream")'));
  const node = application.nodeOf(24);
  check(await application.node([...args, "require.test.js"], { node }));
}
