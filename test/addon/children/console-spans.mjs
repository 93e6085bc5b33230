// Registers an SDK of OpenTelemetry that names each span on stderr. For node --import.
import { trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";

const processor = {
  onStart() {},
  onEnd: ({ name, attributes }) => console.error(`span: ${name}, ${attributes["gen_ai.usage.output_tokens"]} tokens`),
  forceFlush: async () => {},
  shutdown: async () => {},
};
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }));
