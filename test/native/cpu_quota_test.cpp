// How many threads a container's quota of CPU time is worth, from the texts of the kernel's files.

#include "base/cpu_quota.h"

#include <map>
#include <string>

#include "check.h"

using namespace zse;

namespace {

int cores_with(const std::map<std::string, std::string>& files) {
  return quota_cores([&](const std::string& path) {
    const auto found = files.find(path);
    return found == files.end() ? std::string() : found->second;
  });
}

}  // namespace

TEST("a quota of CPU time is rounded up to cores, and no limit is none") {
  CHECK_EQ(cores_of_cpu_max("50000 100000\n"), 1);
  CHECK_EQ(cores_of_cpu_max("150000 100000\n"), 2);
  CHECK_EQ(cores_of_cpu_max("200000 100000\n"), 2);
  CHECK_EQ(cores_of_cpu_max("max 100000\n"), 0);
  CHECK_EQ(cores_of_cpu_max(""), 0);
  CHECK_EQ(cores_of_cpu_max("7 0"), 0);
  CHECK_EQ(cores_of_cfs("50000\n", "100000\n"), 1);
  CHECK_EQ(cores_of_cfs("-1\n", "100000\n"), 0);
  CHECK_EQ(cores_of_cfs("", ""), 0);
}

TEST("the least quota of a group and those around it counts, in both versions of control groups") {
  CHECK_EQ(cores_with({}), 0);
  CHECK_EQ(cores_with({{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "50000 100000\n"}}), 1);
  CHECK_EQ(cores_with({{"/proc/self/cgroup", "0::/a/b\n"},
                       {"/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
                       {"/sys/fs/cgroup/a/cpu.max", "300000 100000\n"}}),
           3);
  const std::string v1 = "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n";
  CHECK_EQ(cores_with({{"/proc/self/cgroup", v1},
                       {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n"},
                       {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}}),
           2);
}
