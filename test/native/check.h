// Owns how the C++ tests are declared and counted: enough for promises with names, nothing more. A failed CHECK is reported and
// the test goes on; a failed REQUIRE ends its test, and SKIP ends one that does not apply here. Any thread may check.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace check {

struct Test {
  std::string name;
  std::function<void()> body;
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

inline std::atomic<int>& failures_of_test() {
  static std::atomic<int> count{0};
  return count;
}

struct Register {
  Register(const char* name, std::function<void()> body) { tests().push_back({name, std::move(body)}); }
};

struct Stop : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/** Thrown by a test that does not apply on this machine; what() says why. */
struct Skip : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void fail(const char* file, int line, const std::string& what) {
  failures_of_test()++;
  std::ostringstream out;  // one write, so that lines of several threads do not mix
  out << "  " << file << ":" << line << ": " << what << "\n";
  std::cerr << out.str();
}

template <class A, class B>
void equal(const char* file, int line, const char* expression, const A& actual, const B& expected) {
  if (actual == expected) return;
  std::ostringstream out;
  out << expression << " is " << actual << ", expected " << expected;
  fail(file, line, out.str());
}

/** ZSE_TEST_SEED, or a new one each run; printed, so that a failure can be repeated. */
uint64_t seed();

/** Sanitizers take ten times as long: what is tried with everything elsewhere is tried with a part of it, drawn anew each time. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

}  // namespace check

#define CHECK_CONCAT_(a, b) a##b
#define CHECK_CONCAT(a, b) CHECK_CONCAT_(a, b)
#define TEST_(name, number)                                                                                \
  static void CHECK_CONCAT(test_body_, number)();                                                          \
  static const check::Register CHECK_CONCAT(test_entry_, number)(name, &CHECK_CONCAT(test_body_, number)); \
  static void CHECK_CONCAT(test_body_, number)()
#define TEST(name) TEST_(name, __COUNTER__)
#define CHECK(condition)                                           \
  do {                                                             \
    if (!(condition)) check::fail(__FILE__, __LINE__, #condition); \
  } while (false)
#define CHECK_EQ(actual, expected) check::equal(__FILE__, __LINE__, #actual, actual, expected)
#define REQUIRE(condition)                         \
  do {                                             \
    if (!(condition)) {                            \
      check::fail(__FILE__, __LINE__, #condition); \
      throw check::Stop("stopped");                \
    }                                              \
  } while (false)
#define SKIP(reason) throw check::Skip(reason)
