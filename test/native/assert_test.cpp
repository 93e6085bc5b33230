// What must be true of the engine is checked in this build, and says where it broke: an assert that is compiled out proves nothing.
#include "base/assert.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>

#include "check.h"
#include "fake_decoder.h"
#include "kv/kv_slots.h"

using namespace zse;

namespace {

/** What a child says that runs this, and the signal that ends it; 0: none. */
struct End {
  std::string words;
  int signal = 0;
};
End end_of(const std::function<void()>& body) {
  int out[2];
  REQUIRE(pipe(out) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    dup2(out[1], STDERR_FILENO);
    body();
    _exit(0);
  }
  close(out[1]);
  End end;
  char buffer[256];
  for (ssize_t size = 0; (size = read(out[0], buffer, sizeof buffer)) > 0;) end.words.append(buffer, size);
  close(out[0]);
  int status = 0;
  waitpid(child, &status, 0);
  end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return end;
}

}  // namespace

TEST("a slot that is given to two streams ends a test's program, with file, line and words") {
  FakeDecoder decoder(2, 100);
  KvSlots slots(decoder);
  slots.take(0, 1);
  const End twice = end_of([&] { slots.take(0, 2); });
  CHECK_EQ(twice.signal, SIGABRT);
  CHECK(twice.words.find("kv_slots.cpp:") != std::string::npos);
  CHECK(twice.words.find("a slot belongs to one stream at most") != std::string::npos);
  CHECK_EQ(end_of([&] { slots.take(1, 2); }).signal, 0);
}

TEST("the table of slots knows whether a sequence goes on from what its slot holds") {
  FakeDecoder decoder(2, 100);
  KvSlots slots(decoder);
  const Prompt prompt({1, 2, 3});
  slots.take(0, 7);
  slots.extend(0, 0, prompt.tokens().data(), 2, true);
  CHECK(slots.agree(0, 7, 2, prompt));
  CHECK(!slots.agree(0, 8, 2, prompt));             // somebody else's
  CHECK(!slots.agree(0, 7, 3, prompt));             // holds less
  CHECK(!slots.agree(0, 7, 2, Prompt({1, 9, 3})));  // holds something else
  CHECK(slots.agree(0, 7, 2, Prompt({1})));         // the second is of the reply
}
