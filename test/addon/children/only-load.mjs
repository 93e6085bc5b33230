// Waiting for a model keeps the process alive until it is there.
import { ZSE } from "zstream";

const model = new ZSE({ contextSize: 512 });
const info = await model.ready;
console.log(info.architecture);
