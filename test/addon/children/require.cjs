// The library from CommonJS.
const { ZSE } = require("zstream");

(async () => {
  const model = new ZSE({ contextSize: 512 });
  const reply = await model.chat([{ role: "user", content: "Hi" }], { maxTokens: 3 });
  console.log(reply.usage.completionTokens);
  await model.close();
})();
