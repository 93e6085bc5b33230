// A callback of the caller's throws where the library has nobody to tell: that is an uncaught exception, not silence.
import { ZSE } from "zstream";

new ZSE({
  contextSize: 512,
  onProgress: () => {
    throw new Error("thrown by onProgress");
  },
});
