// process.exit() at some moment of loading.
import { ZSE } from "zstream";

const models = [1, 2, 3].map(() => new ZSE({ contextSize: 4096, threads: 1 }));
setTimeout(() => process.exit(models.length), Number(process.argv[2]));
