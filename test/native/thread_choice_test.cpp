#include "schedule/thread_choice.h"

#include <cmath>
#include <random>

#include "check.h"

using namespace zse;

namespace {

/** Steps of one stream, on a machine where all threads and fewer make so many of them a millisecond, and all have so much of the processors. */
class Machine {
 public:
  Machine(int threads, std::mt19937_64& random) : threads_(threads), choice_(threads), random_(random) {}

  double all = 1, fewer = 0.6, share = 0.99, noise = 0, step_ms = 1;
  int streams = 1;
  int last_fewer = 0;  // of which some steps were computed

  /** Runs for so long. What part of the steps all threads computed. */
  double run(double ms) {
    int steps = 0, of_all = 0;
    for (const double end = now_ + ms; now_ < end; steps++) {
      const bool uses_all = choice_.threads() == threads_;
      of_all += uses_all ? 1 : 0;
      if (!uses_all) last_fewer = choice_.threads();
      const double took = std::exp(noise * std::normal_distribution<double>()(random_)) * step_ms / (uses_all ? all : fewer);
      now_ += took;
      cpu_ += took * threads_ * share;
      CHECK(choice_.threads() >= 1 && choice_.threads() <= threads_);
      if (choice_.computed(streams, now_)) choice_.look(cpu_, now_);
    }
    return static_cast<double>(of_all) / steps;
  }

  void pause(double ms) {
    now_ += ms;
    choice_.interrupted();
  }
  int threads() const { return choice_.threads(); }

 private:
  const int threads_;
  ThreadChoice choice_;
  std::mt19937_64& random_;
  double now_ = 1000, cpu_ = 0;
};

}  // namespace

TEST("on a machine that is idle all threads compute, however long steps take, with pauses between") {
  std::mt19937_64 random(check::seed());
  for (const double step_ms : {0.2, 8.0, 90.0}) {
    Machine machine(2, random);
    machine.step_ms = step_ms;
    machine.noise = 0.1;
    for (int i = 0; i < 20; i++) {
      CHECK_EQ(machine.run(1000), 1.0);
      machine.pause(700);
    }
  }
}

TEST(
    "where one thread is quicker than two beside another program, one computes soon, and two again soon after that program "
    "has ended") {
  std::mt19937_64 random(check::seed());
  for (const double step_ms : {0.2, 8.0, 90.0}) {
    Machine machine(2, random);
    machine.step_ms = step_ms;
    machine.noise = 0.1;
    machine.all = 0.3;
    machine.fewer = 0.57;
    machine.share = 0.6;
    machine.run(3000);
    CHECK(machine.run(20000) < 0.2);
    machine.all = 1;
    machine.share = 0.99;
    machine.run(8000);
    CHECK_EQ(machine.run(5000), 1.0);
  }
}

TEST("where two threads are quicker than one beside other programs, two compute nearly all the time") {
  std::mt19937_64 random(check::seed());
  for (const double step_ms : {0.2, 8.0, 90.0}) {
    Machine machine(2, random);
    machine.step_ms = step_ms;
    machine.all = 0.47;
    machine.fewer = 0.36;
    machine.share = 0.5;
    machine.run(5000);
    CHECK(machine.run(60000) > 0.85);
  }
}

TEST("of many threads as many are tried as the others leave, also when these become more") {
  std::mt19937_64 random(check::seed());
  Machine machine(8, random);
  machine.all = 0.3;
  machine.share = 0.8;
  machine.run(5000);
  CHECK(machine.run(10000) < 0.2);
  CHECK_EQ(machine.last_fewer, 6);
  machine.share = 0.5;
  machine.run(10000);
  CHECK(machine.run(10000) < 0.2);
  CHECK_EQ(machine.last_fewer, 4);
}

TEST(
    "all threads compute again after a while in which nothing could be measured: replies of a few steps, pauses, streams "
    "that come and go") {
  std::mt19937_64 random(check::seed());
  for (int kind = 0; kind < 3; kind++) {
    Machine machine(2, random);
    machine.all = 0.3;
    machine.share = 0.6;
    CHECK(machine.run(5000) < 0.5);
    for (int i = 0; i < 1000 && machine.threads() == 2; i++) machine.run(1);  // a trial
    CHECK_EQ(machine.threads(), 1);
    machine.all = 1;
    machine.share = 0.99;
    if (kind == 0) machine.pause(60000);
    for (int i = 0; kind == 1 && i < 2000; i++) {
      machine.run(10);
      machine.pause(5);
    }
    for (int i = 0; kind == 2 && i < 2000; i++) {
      machine.streams = 1 + i % 2;
      machine.run(10);
    }
    machine.run(3);
    CHECK_EQ(machine.threads(), 2);
  }
}

TEST("steps of another length are not compared, and one thread is no choice") {
  std::mt19937_64 random(check::seed());
  Machine machine(2, random);
  machine.share = 0.6;
  machine.all = 0.5;
  machine.fewer = 0.3;
  machine.run(2000);
  for (int i = 0; i < 200; i++) {  // the more streams, the longer a step
    machine.streams = 1 + i % 3;
    machine.all = 0.5 / machine.streams;
    machine.fewer = 0.3 / machine.streams;
    machine.run(300);
  }
  CHECK(machine.run(10000) > 0.8);
  ThreadChoice alone(1);
  CHECK_EQ(alone.threads(), 1);
  CHECK(!alone.computed(1, 5000));
}
