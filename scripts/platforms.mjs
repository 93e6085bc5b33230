// Owns the list of platforms that have a package of their own, and what each is called by whom.

/**
 * name: the package is @zstream/<name>. platform, arch: as Node calls them. libc: as npm calls it, on Linux. zig: what the cross compiler is
 * told, for glibc with the oldest version that the result runs on; absent where only a machine of that kind can build.
 */
export const platforms = [
  { name: "linux-x64", platform: "linux", arch: "x64", libc: "glibc", zig: "x86_64-linux-gnu.2.28" },
  { name: "linux-x64-musl", platform: "linux", arch: "x64", libc: "musl", zig: "x86_64-linux-musl" },
  { name: "linux-arm64", platform: "linux", arch: "arm64", libc: "glibc", zig: "aarch64-linux-gnu.2.28" },
  { name: "linux-arm64-musl", platform: "linux", arch: "arm64", libc: "musl", zig: "aarch64-linux-musl" },
  { name: "win32-x64", platform: "win32", arch: "x64", zig: "x86_64-windows-gnu" },
  { name: "win32-arm64", platform: "win32", arch: "arm64", zig: "aarch64-windows-gnu" },
  { name: "darwin-x64", platform: "darwin", arch: "x64" },
  { name: "darwin-arm64", platform: "darwin", arch: "arm64" },
];

/**
 * The packages that hold the library of a GPU, installed on request beside the platform's own. needs: what its users must have. Each is built by
 * a machine of its kind that has the toolkit; zig: as above, where the toolkit lies in a folder of its own (VULKAN_SDK).
 */
export const gpuPackages = [
  {
    name: "cuda-linux-x64",
    gpu: "cuda",
    platform: "linux",
    arch: "x64",
    libc: "glibc",
    needs: "NVIDIA's driver and the libraries of CUDA 12",
  },
  {
    name: "vulkan-linux-x64",
    gpu: "vulkan",
    platform: "linux",
    arch: "x64",
    libc: "glibc",
    zig: "x86_64-linux-gnu.2.28",
    needs: "a driver for Vulkan, and its loader",
  },
  { name: "cuda-win32-x64", gpu: "cuda", platform: "win32", arch: "x64", needs: "NVIDIA's driver and the libraries of CUDA 12" },
  { name: "vulkan-win32-x64", gpu: "vulkan", platform: "win32", arch: "x64", needs: "a driver for Vulkan" },
];

/** The entry of this machine; undefined for one that no package is made for. */
export function hostPlatform() {
  const { glibcVersionRuntime } = process.report?.getReport().header ?? {};
  const libc = process.platform !== "linux" ? undefined : glibcVersionRuntime ? "glibc" : "musl";
  return platforms.find((entry) => entry.platform === process.platform && entry.arch === process.arch && entry.libc === libc);
}

/** The same of a GPU's library. */
export function libraryOf({ gpu, platform, arch }) {
  return `prebuilds/${platform}-${arch}/zstream-${gpu}.${platform === "win32" ? "dll" : "so"}`;
}

/** The folder, below the place that prebuildify is told, that holds the addon of a platform. */
export function addonOf({ platform, arch }) {
  return `prebuilds/${platform}-${arch}/node.napi.node`;
}
