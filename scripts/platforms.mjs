// Owns the list of platforms that have a package of their own, and what each is called by whom.

/**
 * name: the package is @zstream/<name>. platform, arch: as Node calls them. libc: as npm calls it, on Linux. zig: what the cross compiler is
 * told, with the oldest C library that the result runs on; absent where only a machine of that kind can build.
 */
export const platforms = [
  { name: "linux-x64", platform: "linux", arch: "x64", libc: "glibc", zig: "x86_64-linux-gnu.2.28" },
  { name: "linux-x64-musl", platform: "linux", arch: "x64", libc: "musl", zig: "x86_64-linux-musl" },
  { name: "linux-arm64", platform: "linux", arch: "arm64", libc: "glibc", zig: "aarch64-linux-gnu.2.28" },
  { name: "linux-arm64-musl", platform: "linux", arch: "arm64", libc: "musl", zig: "aarch64-linux-musl" },
  { name: "win32-x64", platform: "win32", arch: "x64" },
  { name: "win32-arm64", platform: "win32", arch: "arm64" },
  { name: "darwin-x64", platform: "darwin", arch: "x64" },
  { name: "darwin-arm64", platform: "darwin", arch: "arm64" },
];

/** The entry of this machine; undefined for one that no package is made for. */
export function hostPlatform() {
  const { glibcVersionRuntime } = process.report?.getReport().header ?? {};
  const libc = process.platform !== "linux" ? undefined : glibcVersionRuntime ? "glibc" : "musl";
  return platforms.find((entry) => entry.platform === process.platform && entry.arch === process.arch && entry.libc === libc);
}

/** The folder, below the place that prebuildify is told, that holds the addon of a platform. */
export function addonOf({ platform, arch }) {
  return `prebuilds/${platform}-${arch}/node.napi.node`;
}
