// Runs every registered test, or those whose name contains the first argument; the last line says how many
// passed, failed and, if any, were skipped since they do not apply on this machine.
#include <cstdlib>
#include <random>

#include "check.h"

namespace check {

uint64_t seed() {
  static const uint64_t value = [] {
    const char* given = std::getenv("ZSE_TEST_SEED");
    const uint64_t chosen = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "random tests: ZSE_TEST_SEED=" << chosen << std::endl;
    return chosen;
  }();
  return value;
}

}  // namespace check

int main(int argc, char** argv) {
  const std::string wanted = argc > 1 ? argv[1] : "";
  int passed = 0, failed = 0, skipped = 0;
  check::seed();
  for (const check::Test& test : check::tests()) {
    if (test.name.find(wanted) == std::string::npos) continue;
    check::failures_of_test() = 0;
    std::string reason;
    try {
      test.body();
    } catch (const check::Skip& skip) {
      reason = skip.what();
    } catch (const check::Stop&) {
    } catch (const std::exception& e) {
      check::fail(__FILE__, __LINE__, std::string("unexpected exception: ") + e.what());
    }
    const bool ok = check::failures_of_test() == 0;
    if (ok && !reason.empty()) {
      skipped++;
      std::cout << "skipped " << test.name << ": " << reason << std::endl;
      continue;
    }
    (ok ? passed : failed)++;
    std::cout << (ok ? "ok      " : "FAILED  ") << test.name << std::endl;
  }
  std::cout << passed << " passed, " << failed << " failed";
  if (skipped > 0) std::cout << ", " << skipped << " skipped";
  std::cout << std::endl;
  return failed == 0 && passed + skipped > 0 ? 0 : 1;
}
