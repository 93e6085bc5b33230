// Owns how many cores a container's quota of CPU time is worth (Linux control groups, both versions): threads beyond it are stopped by the
// kernel in the middle of a step, and the others wait for them. Pure but for what `read` does.
#pragma once

#include <functional>
#include <string>

namespace zse {

/** A file's text; empty where there is none. */
using ReadText = std::function<std::string(const std::string& path)>;

/** "50000 100000", the text of cpu.max (version 2): its cores, rounded up; 0 for no limit or another text. */
int cores_of_cpu_max(const std::string& cpu_max);

/** The texts of cpu.cfs_quota_us and cpu.cfs_period_us (version 1). */
int cores_of_cfs(const std::string& quota_us, const std::string& period_us);

/** The least quota of this process's group and those around it; 0 for none. */
int quota_cores(const ReadText& read);

}  // namespace zse
