#include "cpu_quota.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace zse {

namespace {

int cores(long long quota, long long period) {
  if (quota <= 0 || period <= 0) return 0;
  const long long whole = (quota - 1) / period + 1;
  return static_cast<int>(std::min<long long>(whole, 1 << 16));
}

/** The least of both, where 0 is no limit. */
int least(int a, int b) { return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b); }

/** Over a group and all that it lies in. In a container the path may be the host's, and then only the root is there. */
template <class Cores>
int least_upwards(std::string group, Cores cores_at) {
  int found = 0;
  for (;;) {
    while (!group.empty() && group.back() == '/') group.pop_back();
    found = least(found, cores_at(group));
    if (group.empty()) return found;
    const size_t slash = group.rfind('/');
    group.erase(slash == std::string::npos ? 0 : slash);
  }
}

}  // namespace

int cores_of_cpu_max(const std::string& cpu_max) {
  std::istringstream words(cpu_max);
  long long quota = 0, period = 0;
  return words >> quota >> period ? cores(quota, period) : 0;  // "max 100000": no number
}

int cores_of_cfs(const std::string& quota_us, const std::string& period_us) {
  return cores(std::atoll(quota_us.c_str()), std::atoll(period_us.c_str()));  // a quota of -1: no limit
}

int quota_cores(const ReadText& read) {
  int found = 0;
  std::istringstream groups(read("/proc/self/cgroup"));  // "0::/path" of version 2, "4:cpu,cpuacct:/path" of version 1
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",", path = line.substr(second + 1);
    if (controllers == ",,") {
      found = least(found, least_upwards(path, [&](const std::string& group) {
                      return cores_of_cpu_max(read("/sys/fs/cgroup" + group + "/cpu.max"));
                    }));
    } else if (controllers.find(",cpu,") != std::string::npos) {
      found = least(found, least_upwards(path, [&](const std::string& group) {
                      const std::string folder = "/sys/fs/cgroup/cpu" + group;
                      return cores_of_cfs(read(folder + "/cpu.cfs_quota_us"), read(folder + "/cpu.cfs_period_us"));
                    }));
    }
  }
  return found;
}

}  // namespace zse
