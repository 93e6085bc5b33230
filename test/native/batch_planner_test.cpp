#include "schedule/batch_planner.h"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "check.h"

using namespace zse;

namespace {

int tokens_of(const std::vector<PlanPiece>& plan, size_t index) {
  for (const PlanPiece& piece : plan) {
    if (piece.index == index) return piece.tokens;
  }
  return 0;
}

/** A step that was planned for a target of 150 ms, and took so long. */
void record_planned(StepCost& cost, int decode_tokens, int prefill_tokens, double ms) {
  cost.prefill_budget(150, 512);
  cost.record(decode_tokens, prefill_tokens, ms);
}

}  // namespace

TEST("every decoding sequence is in every step, however long the prompts are") {
  const auto plan = plan_batch({{0, 0, 0, 1}, {1, 3000, 0, 2}, {2, 0, 0, 3}}, {512, 32, false, {}});
  CHECK_EQ(tokens_of(plan, 0), 1);
  CHECK_EQ(tokens_of(plan, 2), 1);
  CHECK_EQ(tokens_of(plan, 1), 30);  // 32 rows in all
}

TEST("the whole batch goes to prompts when nobody is decoding") {
  const auto plan = plan_batch({{0, 3000, 0, 1}}, {512, 32, false, {}});
  CHECK_EQ(tokens_of(plan, 0), 512);
}

TEST("a short prompt does not wait behind a long one, and the long one still moves") {
  const auto plan = plan_batch({{0, 3000, 0, 1, 0, true}, {1, 30, 0, 2}}, {512, 64, false, {}});
  CHECK_EQ(tokens_of(plan, 1), 30);
  CHECK(tokens_of(plan, 0) >= 128);
}

TEST(
    "a short prompt that joins a long one has the next step alone, and the long one the step after that, also where nobody "
    "decodes") {
  const auto plan = plan_batch({{0, 2000, 7, 1}, {1, 30, 0, 2}}, {512, 64, false, {}});
  CHECK_EQ(tokens_of(plan, 1), 30);
  CHECK_EQ(tokens_of(plan, 0), 2);  // to the end of its group of rows
  const auto next = plan_batch({{0, 2000, 7, 1, 0, true}, {1, 0, 8, 2}, {2, 30, 0, 3}}, {512, 64, false, {}});
  CHECK(tokens_of(next, 0) >= 16);
}

TEST("a step in which a prompt ends may take all of the target, and goes no further for one that does not end with it") {
  PlanLimits limits;
  limits.prefill_budget = 24;
  limits.ending_budget = 40;
  const auto plan_with = [&](int tokens) { return plan_batch({{0, 0, 7, 0}, {1, 3000, 7, 1}, {2, tokens, 0, 2}}, limits); };
  CHECK_EQ(tokens_of(plan_with(36), 2), 36);
  CHECK(tokens_of(plan_with(36), 1) <= 4);
  CHECK(tokens_of(plan_with(41), 1) + tokens_of(plan_with(41), 2) <= 24 + 1);
}

TEST("a newcomer is worth beginning a step anew early, and where both together end by the target") {
  StepCost cost;
  for (int i = 0; i < 30; i++) cost.record(1, 0, 20);
  cost.record(0, 256, 256);
  for (int i = 0; i < 200; i++) record_planned(cost, 1, 80, 20 + 80 * 1.5);
  const auto joins = [&](int tokens, double elapsed_ms) { return cost.is_joined(tokens, elapsed_ms, 150, true, 80); };
  CHECK(joins(30, 1));
  CHECK(joins(30, 25));
  CHECK(!joins(30, 50));  // what is lost is more than what it would wait
  CHECK(!joins(80, 25));  // 165 ms in all
  CHECK(joins(80, 1));
  CHECK(!joins(300, 1));
  CHECK(cost.is_joined(30, 25, 150, false, 256));  // of 256 ms
  CHECK(!cost.is_joined(30, 80, 150, false, 256));
}

TEST("in deterministic mode a step has one sequence, by turns") {
  const auto plan = plan_batch({{0, 0, 7, 1}, {1, 0, 6, 2}, {2, 600, 9, 3}}, {512, 64, true, {}});
  REQUIRE(plan.size() == 1);
  CHECK_EQ(plan[0].index, 1u);
}

TEST(
    "in deterministic mode all that decode share a step where rows are alike, and a prompt has one of its own when it is "
    "its turn") {
  PlanLimits limits{512, 64, true, {}};
  limits.rows_alike = true;
  std::vector<PlanCandidate> candidates = {{0, 0, 7, 1}, {1, 0, 6, 2}, {2, 600, 9, 3}, {3, 0, 7, 4, 5}};
  const auto decoding = plan_batch(candidates, limits);
  CHECK_EQ(decoding.size(), size_t{2});
  CHECK_EQ(tokens_of(decoding, 0) + tokens_of(decoding, 1), 2);
  candidates[2].last_step = 1;
  const auto prompt = plan_batch(candidates, limits);
  CHECK_EQ(prompt.size(), size_t{1});
  CHECK_EQ(tokens_of(prompt, 2), kExclusivePiece);
  limits.max_batch_tokens = 1;
  candidates[2].last_step = 9;
  const auto longest = plan_batch(candidates, limits);
  REQUIRE(longest.size() == 1);
  CHECK_EQ(longest[0].index, 1u);
}

TEST("a step is for one variant of the model, and variants take turns by who has waited longest") {
  std::vector<PlanCandidate> candidates = {{0, 0, 5, 1, 7}, {1, 0, 5, 2, 7}, {2, 0, 4, 3, 8}, {3, 100, 0, 4, 8}};
  const auto first = plan_batch(candidates, {512, 32, false, {}});
  CHECK_EQ(tokens_of(first, 0) + tokens_of(first, 1), 0);
  CHECK_EQ(tokens_of(first, 2), 1);
  CHECK(tokens_of(first, 3) > 0);
  candidates[2].last_step = candidates[3].last_step = 6;
  const auto second = plan_batch(candidates, {512, 32, false, {}});
  CHECK_EQ(second.size(), size_t{2});
  CHECK_EQ(tokens_of(second, 0) + tokens_of(second, 1), 2);
}

TEST("a prompt of one variant keeps within the budget while streams of another decode") {
  const auto plan = plan_batch({{0, 0, 5, 1, 7}, {1, 3000, 0, 2, 8}}, {512, 32, false, {}});
  CHECK_EQ(plan.size(), size_t{1});
  CHECK_EQ(tokens_of(plan, 1), 32);
}

TEST("no plan breaks its limits, plans a token twice or nothing at all (random)") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 20000; round++) {
    std::vector<PlanCandidate> candidates;
    const size_t count = random() % 20;
    for (size_t i = 0; i < count; i++) {
      const int remaining = random() % 2 ? 0 : 1 + static_cast<int>(random() % 4000);
      candidates.push_back({i, remaining, random() % 50, i});
    }
    PlanLimits limits;
    limits.max_batch_tokens = 1 + static_cast<int>(random() % 600);
    limits.prefill_budget = 1 + static_cast<int>(random() % limits.max_batch_tokens);
    limits.exclusive = random() % 4 == 0;
    limits.rows_alike = random() % 2 == 0;
    const auto plan = plan_batch(candidates, limits);
    CHECK_EQ(plan.empty(), candidates.empty());
    std::set<size_t> seen;
    int total = 0, prefill = 0, decoding = 0;
    bool one_ends = false;  // for which a group more is allowed
    for (const PlanPiece& piece : plan) {
      CHECK(seen.insert(piece.index).second);
      CHECK(piece.tokens > 0);
      const PlanCandidate& candidate = candidates[piece.index];
      CHECK(piece.tokens <= std::max(1, candidate.remaining));
      total += piece.tokens;
      (candidate.remaining == 0 ? decoding : prefill) += piece.tokens;
      one_ends = one_ends || piece.tokens == candidate.remaining;
    }
    CHECK(total <= limits.max_batch_tokens);
    const int most = std::max(limits.prefill_budget + (limits.row_groups.next - 1) / 3, limits.row_groups.next - decoding);
    if (decoding > 0) CHECK(prefill <= most + (one_ends ? limits.row_groups.next : 0));
  }
}

TEST("a prompt that ends takes more rows than there is room for, as far as the target allows, and no more to fill a group") {
  std::vector<PlanCandidate> candidates;
  for (size_t i = 0; i < 9; i++) candidates.push_back({i, 0, 1, i});
  candidates.push_back({9, 3000, 1, 9});  // the oldest prompt, which had its part in the step before
  candidates.push_back({10, 5, 0, 10});
  PlanLimits limits;
  limits.max_batch_tokens = 512;
  limits.prefill_budget = 1;
  limits.ending_budget = 5;
  const auto plan = plan_batch(candidates, limits);
  CHECK_EQ(tokens_of(plan, 10), 5);
  CHECK_EQ(tokens_of(plan, 9), 0);
}

TEST("the step in which a prompt ends is no longer than the target allows, on a machine where each row takes long") {
  PlanLimits limits;
  limits.prefill_budget = 11;
  for (const int within_target : {11, 12, 15}) {
    limits.ending_budget = within_target;
    for (const int remaining : {10, 11, 12, 13, 15, 16}) {
      const int piece = tokens_of(plan_batch({{0, 0, 0, 0}, {1, remaining, 0, 1}}, limits), 1);
      CHECK_EQ(piece, remaining <= within_target ? remaining : 11);
    }
  }
}

TEST("no prompt starves while shorter ones keep coming (random)") {
  std::mt19937_64 random(check::seed());
  std::vector<PlanCandidate> waiting = {{0, 2000, 0, 0, 0, true}};
  size_t arrivals = 1;
  int steps = 0;
  while (std::any_of(waiting.begin(), waiting.end(), [](const auto& c) { return c.index == 0; })) {
    REQUIRE(++steps < 2000);
    for (int i = 0; i < 4; i++) {
      const size_t index = arrivals++;
      waiting.push_back({index, 1 + static_cast<int>(random() % 30), 0, index});
    }
    for (const PlanPiece& piece : plan_batch(waiting, {64, 64, false, {}})) {
      for (PlanCandidate& candidate : waiting) {
        if (candidate.index == piece.index) candidate.remaining -= piece.tokens;
      }
    }
    waiting.erase(std::remove_if(waiting.begin(), waiting.end(), [](const auto& c) { return c.remaining == 0; }),
                  waiting.end());
  }
  CHECK(steps <= 2000 / 16 + 1);
}

TEST("a step beside decoding streams fills the matrix kernels' groups of rows") {
  const std::vector<PlanCandidate> candidates = {{0, 0, 0, 0}, {1, 0, 0, 1}, {2, 0, 0, 2}, {3, 1000, 0, 3}};
  PlanLimits limits;
  for (int budget = 5; budget < 60; budget++) {
    limits.prefill_budget = budget;
    int total = 0;
    for (const PlanPiece& piece : plan_batch(candidates, limits)) total += piece.tokens;
    CHECK_EQ(total % limits.row_groups.next, 0);
    CHECK(total <= budget + 3 + (limits.row_groups.next - 1) / 3 && total > budget + 3 - limits.row_groups.next);
  }
}

TEST("prompts of one burst get their first token in the same step, as early as it can be") {
  for (const int count : {5, 16, 64}) {
    std::vector<PlanCandidate> burst;
    for (int i = 0; i < count; i++)
      burst.push_back({static_cast<size_t>(i), 1000 / count + i % 3, 0, static_cast<uint64_t>(i)});
    int total = 0;
    for (const PlanCandidate& one : burst) total += one.remaining;
    for (int steps_left = (total + 255) / 256; steps_left > 0; steps_left--) {
      for (const PlanPiece& piece : plan_batch(burst, {256, 32, false, {}})) burst[piece.index].remaining -= piece.tokens;
      const auto done = std::count_if(burst.begin(), burst.end(), [](const auto& one) { return one.remaining == 0; });
      CHECK_EQ(done, steps_left == 1 ? count : 0);
    }
  }
}

TEST("a short prompt among long ones is not held back by them") {
  std::vector<PlanCandidate> burst = {{0, 20, 0, 9}};
  for (size_t i = 1; i < 9; i++) burst.push_back({i, 100, 0, i});
  CHECK_EQ(tokens_of(plan_batch(burst, {256, 32, false, {}}), 0), 20);
}

TEST("beside a long prompt a short one ends in one step, which is no longer than it needs") {
  PlanLimits limits;
  limits.row_groups = {16, 8};
  limits.prefill_budget = 31;
  const std::vector<PlanCandidate> candidates = {{0, 0, 7, 0}, {1, 3000, 7, 1}, {2, 17, 0, 2}};
  std::vector<PlanPiece> pieces = plan_batch(candidates, limits);
  CHECK_EQ(tokens_of(pieces, 2), 17);
  CHECK_EQ(tokens_of(pieces, 1), 6);  // what is left of its last group
  limits.prefill_budget = 15;
  limits.ending_budget = 23;  // one group more is within the target
  pieces = plan_batch(candidates, limits);
  CHECK_EQ(tokens_of(pieces, 2), 17);
  CHECK_EQ(tokens_of(pieces, 1), 6);
  CHECK_EQ(tokens_of(plan_batch({{0, 0, 7, 0}, {2, 17, 0, 2}}, limits), 2), 17);  // also by itself
  pieces = plan_batch({{0, 0, 7, 0}, {1, 3000, 7, 1}, {2, 24, 0, 2}}, limits);    // two groups would be too long
  CHECK_EQ(tokens_of(pieces, 2) + tokens_of(pieces, 1), 15);
}

TEST("of two prompts that come at once the short one ends first, and the long one is passed over once") {
  std::vector<PlanCandidate> candidates = {{0, 3000, 0, 0}, {1, 30, 0, 1}};
  auto plan = plan_batch(candidates, {512, 64, false, {}});
  CHECK_EQ(tokens_of(plan, 1), 30);
  CHECK(tokens_of(plan, 0) <= 8);  // what is left of a group of rows
  candidates = {{0, 3000, 0, 0, 0, true}, {2, 30, 0, 2}};
  plan = plan_batch(candidates, {512, 64, false, {}});
  CHECK_EQ(tokens_of(plan, 2), 30);
  CHECK_EQ(tokens_of(plan, 0), 482);
}

TEST("short prompts that come with every step leave a long one a quarter of every second") {
  PlanLimits limits;
  limits.row_groups = {16, 8};
  limits.prefill_budget = 31;
  PlanCandidate longest{1, 3000, 1, 1};
  for (uint64_t step = 2; step < 42; step++) {
    const std::vector<PlanCandidate> candidates = {{0, 0, step - 1, 0}, longest, {2, 23, 0, step}};
    const int tokens = tokens_of(plan_batch(candidates, limits), 1);
    if (tokens > 0) longest.last_step = step;
    longest.passed_over = tokens == 0;
    longest.remaining -= tokens;
  }
  CHECK(longest.remaining <= 3000 - 20 * 8);
}

TEST("what a few prompt tokens cost by themselves is not taken for the price of each of many") {
  StepCost cost;
  for (int i = 0; i < 50; i++) cost.record(1, 0, 16);
  cost.record(0, 10, 76);  // 16 ms for one pass over the weights, 6 for each token
  CHECK(cost.prefill_budget(150, 512) >= 9);
}

TEST("what a prompt token costs in a whole batch is not taken for its cost in a small piece") {
  StepCost cost;
  cost.record(1, 0, 20);
  for (int i = 0; i < 50; i++) cost.record(0, 512, 512);  // 1 ms a token
  CHECK(cost.prefill_budget(150, 512) <= 65);
  for (int i = 0; i < 100; i++) record_planned(cost, 1, 40, 20 + 40 * 1.5);
  const int budget = cost.prefill_budget(150, 512);
  CHECK(budget > 70 && budget < 80);
}

TEST("the prefill budget follows the measured cost of a step") {
  StepCost cost;
  for (int i = 0; i < 50; i++) cost.record(4, 0, 20);
  for (int i = 0; i < 100; i++) record_planned(cost, 4, 100, 120);  // 1 ms a prompt token
  const int budget = cost.prefill_budget(150, 512);
  CHECK(budget > 105 && budget < 125);
  CHECK_EQ(cost.prefill_budget(5, 512), StepCost::kMinPiece);
  CHECK_EQ(cost.prefill_budget(1e9, 512), 512);
}

TEST("a step keeps its time where the first tokens of a piece cost nearly nothing, and the next ones much") {
  // Decoding waits for memory, sixteen rows are multiplied at once: as it was measured of a 1.5B on a processor with tiles.
  const auto step_ms = [](int rows) { return std::max(72.0, 55 + (rows + 15) / 16 * 36.0); };
  StepCost cost;
  cost.record(0, 256, step_ms(256));
  for (int i = 0; i < 30; i++) cost.record(1, 0, step_ms(1));
  int tokens = 0;
  for (int step = 0; step < 100; step++) {
    PlanLimits limits;
    limits.prefill_budget = cost.prefill_budget(150, 512);
    limits.row_groups = {16, 16};
    const std::vector<PlanPiece> pieces = plan_batch({{0, 0, 0, 0}, {1, 5000, 0, 1}}, limits);
    const int piece = tokens_of(pieces, 1);
    const double ms = step_ms(1 + piece);
    CHECK(ms <= 150);
    cost.record(1, piece, ms);
    if (step >= 10) tokens += piece;
  }
  CHECK(tokens >= 90 * 31);
}

TEST("after a busy moment a prompt has its longer pieces again before fifty steps have passed") {
  const auto step_ms = [](int rows) { return 40 + (rows + 15) / 16 * 40.0; };
  StepCost cost;
  cost.record(0, 256, step_ms(256));
  for (int i = 0; i < 30; i++) cost.record(1, 0, 60);
  int longer = 0, too_long = 0;
  for (int step = 0; step < 200; step++) {
    PlanLimits limits;
    limits.prefill_budget = cost.prefill_budget(150, 512);
    limits.row_groups = {16, 16};
    const int piece = tokens_of(plan_batch({{0, 0, 0, 0}, {1, 50000, 0, 1}}, limits), 1);
    const double ms = step_ms(1 + piece) * (step >= 20 && step < 40 ? 1.8 : 1);
    cost.record(1, piece, ms);
    if (step >= 90) longer += piece == 31;
    if (step >= 40) too_long += ms > 165;
  }
  CHECK_EQ(longer, 110);
  CHECK_EQ(too_long, 0);
}

TEST("a prompt that met a busy machine has its longer pieces soon after it is quiet") {
  const auto step_ms = [](int rows) { return 15 + (rows + 7) / 8 * 10.0; };  // 150 ms hold 96 rows
  const auto check = [&](RowGroups groups, double slower, int quiet_pieces, int busy_pieces) {
    const auto slowness = [&](int step) { return step >= quiet_pieces && step < quiet_pieces + busy_pieces ? slower : 1; };
    StepCost cost;
    const double at_first = quiet_pieces == 0 ? slower : 1;
    cost.record(0, 64, step_ms(64) * at_first);
    for (int i = 0; i < 30; i++) cost.record(1, 0, step_ms(1) * at_first);
    int longest = 0;
    for (int step = 0; step < quiet_pieces + busy_pieces + 100; step++) {
      PlanLimits limits;
      limits.prefill_budget = cost.prefill_budget(150, 512);
      limits.row_groups = groups;
      const int piece = tokens_of(plan_batch({{0, 0, 0, 0}, {1, 50000, 0, 1}}, limits), 1);
      cost.record(1, piece, step_ms(1 + piece) * slowness(step));
      if (step >= quiet_pieces + busy_pieces + 50) longest = std::max(longest, piece);
    }
    if (longest < 70) {
      std::printf("%d rows first, %.1f times slower for %d pieces after %d: %d tokens at most\n", groups.first, slower,
                  busy_pieces, quiet_pieces, longest);
    }
    CHECK(longest >= 70);
  };
  for (const RowGroups groups : {RowGroups{4, 4}, RowGroups{16, 8}}) {
    for (const double slower : {1.5, 3.0, 10.0}) {
      for (const int quiet_pieces : {0, 1, 30}) {
        for (const int busy_pieces : {0, 1, 5, 9, 20, 100}) check(groups, slower, quiet_pieces, busy_pieces);
      }
    }
  }
}

TEST("where decoding takes all of a step's time, a prompt still has a whole group of rows") {
  PlanLimits limits;
  limits.row_groups = {16, 16};
  limits.prefill_budget = StepCost::kMinPiece;
  CHECK_EQ(tokens_of(plan_batch({{0, 0, 0, 0}, {1, 5000, 0, 1}}, limits), 1), 15);
  limits.row_groups = {4, 4};
  CHECK_EQ(tokens_of(plan_batch({{0, 0, 0, 0}, {1, 5000, 0, 1}}, limits), 1), 7);
}

TEST("where steps are uneven the longest ones keep to the target and a tenth, and where they are even most of it is used") {
  for (const double longest : {1.0, 1.1, 1.2, 1.3}) {
    StepCost cost;
    cost.record(0, 256, 256);
    for (int i = 0; i < 30; i++) cost.record(1, 0, 20);
    double ms_in_all = 0;
    for (int step = 0; step < 600; step++) {
      const int piece = cost.prefill_budget(150, 512);
      const double ms = (20 + 1.5 * piece) * (step % 20 == 19 ? longest : 1);
      cost.record(1, piece, ms);
      if (step < 100) continue;
      CHECK(ms <= 165);
      ms_in_all += ms;
    }
    CHECK(ms_in_all / 500 > 150 / longest * 0.9);
  }
}

TEST("where the machine stops for tens of milliseconds again and again, steps keep to the target and a tenth all the same") {
  for (const double stop_ms : {40.0, 60.0, 80.0}) {
    for (const int every : {7, 25, 60}) {
      StepCost cost;
      cost.record(0, 256, 256);
      for (int i = 0; i < 30; i++) cost.record(1, 0, 26);
      int tokens = 0, steps = 0;
      for (int step = 0; step < 1000; step++) {
        const int piece = cost.prefill_budget(150, 512);
        const double ms = 26 + 1.5 * piece + (step % every == every - 1 ? stop_ms : 0);
        cost.record(1, piece, ms);
        if (step < 2 * every) continue;  // once may be chance
        CHECK(ms <= 165);
        tokens += piece;
        steps++;
      }
      CHECK(1.0 * tokens / steps > (150 - stop_ms - 26) / 1.5 * 0.9);
    }
  }
}

TEST("one stop of the machine alone makes no later step shorter, and stops that have ended are forgotten") {
  const auto budget_after = [](int stops, int quiet) {
    StepCost cost;
    cost.record(0, 256, 256);
    for (int i = 0; i < 30; i++) cost.record(1, 0, 26);
    for (int step = 0; step < 40 * stops + quiet; step++) {
      const int piece = cost.prefill_budget(150, 512);
      cost.record(1, piece, 26 + 1.5 * piece + (step < 40 * stops && step % 40 == 20 ? 80 : 0));
    }
    return cost.prefill_budget(150, 512);
  };
  CHECK(budget_after(1, 0) >= 50);  // 0.72 of the target, as after any uneven step
  CHECK(budget_after(4, 0) <= 40);
  CHECK(budget_after(4, 2000) >= 70);
}

TEST(
    "a step that a prompt's end makes a little longer than the target makes no later step shorter, a much longer one does") {
  for (const double longer : {1.08, 1.3}) {
    StepCost cost;
    cost.record(0, 256, 256);
    for (int i = 0; i < 30; i++) cost.record(1, 0, 20);
    int piece = 0;
    for (int step = 0; step < 100; step++) {
      piece = cost.prefill_budget(150, 512);
      cost.record(1, piece, 20 + 1.5 * piece);
    }
    const int ending = cost.ending_budget(150, 512);
    CHECK(20 + 1.5 * ending > 1.1 * (20 + 1.5 * piece));
    cost.record(1, ending, longer * (20 + 1.5 * ending));
    CHECK_EQ(cost.prefill_budget(150, 512) >= piece, longer < 1.1);
  }
}

TEST("where decoding takes most of the target, prompts keep their part of it on an uneven machine") {
  StepCost cost;
  cost.record(0, 256, 256);
  for (int i = 0; i < 30; i++) cost.record(1, 0, 90);
  int least = 512;
  for (int step = 0; step < 300; step++) {
    const int piece = cost.prefill_budget(150, 512);
    cost.record(1, piece, (90 + piece) * (step % 9 == 8 ? 1.8 : 1));
    if (step > 20) least = std::min(least, piece);
  }
  CHECK(least >= 12);
}

TEST("a machine that stops for seconds is not planned for, and what is planned is most of the target again later") {
  StepCost cost;
  for (int i = 0; i < 30; i++) cost.record(1, 0, 20);
  cost.record(0, 256, 256);
  for (int i = 0; i < 20; i++) record_planned(cost, 1, 60, 110);
  record_planned(cost, 1, 60, 9000);
  for (int i = 0; i < 20; i++) record_planned(cost, 1, 60, 110);
  CHECK(cost.prefill_budget(150, 512) >= 50);  // 0.7 of the target
  for (int i = 0; i < 800; i++) record_planned(cost, 1, 60, 110);
  CHECK(cost.prefill_budget(150, 512) >= 75);
}

TEST("a piece that was slow once is tried again after a while") {
  StepCost cost;
  for (int i = 0; i < 30; i++) cost.record(1, 0, 20);
  cost.record(0, 256, 256);
  for (int i = 0; i < 20; i++) cost.record(1, 100, 120);
  for (int i = 0; i < 20; i++) cost.record(1, 100, 2000);  // the machine was busy
  CHECK(cost.prefill_budget(150, 512) < 30);
  for (int i = 0; i < 1200; i++) {
    const int piece = cost.prefill_budget(150, 512);
    cost.record(1, piece, 20 + piece);
  }
  CHECK(cost.prefill_budget(150, 512) > 90);
}
