// Owns the types of fetching and loading a model, and of what is told meanwhile.

/** How far a model is on its way to being ready. Take care of unknown types: later versions may add some. */
export type LoadEvent = FetchEvent | { type: "load"; fraction: number };

/** How far a model of Hugging Face (`hf:`) is on its way into the cache folder. */
export type FetchEvent =
  /** No quantization was named, and this one was chosen. */
  | {
      type: "chosen";
      /** The file in the repository; of a split model its first part. */
      file: string;
      /** Such as "Q4_K_M"; absent where the file's name has none. */
      quant?: string;
      bytes: number;
      /** Why; a sentence for people. */
      because: string;
    }
  | {
      type: "download";
      /** The file in the repository that is on its way. */
      file: string;
      /** Of all files of the model, those bytes included that an earlier try has left. */
      receivedBytes: number;
      totalBytes: number;
      /** Whether another process fetches the file, and this one waits for it. */
      shared: boolean;
    }
  /** What an earlier try has left is read again for its checksum. */
  | { type: "verify"; file: string; checkedBytes: number; totalBytes: number }
  /** A try failed in a way that may pass, and is made again after `inMs` milliseconds. */
  | { type: "retry"; inMs: number; because: string };

/** How a model is fetched. */
export interface PullOptions {
  /** Ends it with the signal's reason; what is there is kept for the next try. */
  signal?: AbortSignal | undefined;
  /** Called with the part of the model that is there, 0 to 1, and with what it is told for. */
  onProgress?: ((fraction: number, event: FetchEvent) => void) | undefined;
  /** Asks the hub whether there is a newer one, also where one is there. Default false. */
  update?: boolean | undefined;
}

/** A model of Hugging Face in the cache folder. */
export interface PulledModel {
  /** What new ZSE() opens, as an absolute path; of a split model the first part. */
  path: string;
  /** All files of the model, as absolute paths. */
  files: string[];
  repo: string;
  commit: string;
  /** Such as "Q4_K_M"; absent where the file's name has none. */
  quant?: string;
  bytes: number;
  /** Whether anything had to be fetched. */
  fetched: boolean;
}
