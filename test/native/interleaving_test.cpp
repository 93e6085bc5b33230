// The property test: real threads submit, read, stop reading, cancel and close at random while the scheduler runs on its own;
// every stream must end exactly once, and every text must be a prefix of the model's (the whole, when it was not cancelled).
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "check.h"
#include "fake_decoder.h"
#include "fake_draft_model.h"
#include "fake_embedder.h"
#include "reply/text_assembler.h"
#include "schedule/scheduler.h"
#include "temporary_folder.h"

using namespace zse;

namespace {

struct Stream {
  std::shared_ptr<StreamControl> control;
  std::vector<Token> prompt;
  int max_tokens = 0;
  int high_water_mark = 0;
  std::string text;
  int delivered = 0, acknowledged = 0, ends = 0;
  bool cancelled = false, failed = false;
  FinishReason reason = FinishReason::kStop;
};

struct Asked {
  std::shared_ptr<QuestionControl> control;
  std::vector<std::vector<Token>> texts;
  std::vector<float> vectors;
  std::string code;  // of its error
  int answers = 0;
  bool withdrawn = false;
};

class Harness {
 public:
  Harness(uint64_t seed, int slots, bool deterministic, const std::string& dir)
      : random_(seed),
        decoder_(slots, 200, 32),
        cache_(cache_options(dir, deterministic)),
        scheduler_(decoder_, &embedder_, random_() % 2 == 0 ? &draft_model_ : nullptr,
                   PrefixCache(cache_, {decoder_.cuttable, deterministic ? kExclusivePiece : 1, SIZE_MAX, decoder_.keeps},
                               files(), stats_),
                   inbox_, queue_, stats_, options(deterministic)) {
    decoder_.sleep_us = random_() % 3 == 0 ? 40 : 0;
    decoder_.looks_up = random_() % 2 == 0;
    decoder_.draft_wrong_one_in = static_cast<int>(random_() % 6);
    decoder_.replay_rows = 16;
    draft_model_.wrong_one_in = static_cast<int>(random_() % 6);
    draft_model_.fails_one_in = static_cast<int>(random_() % 3 == 0 ? 2 + random_() % 6 : 0);
    if (random_() % 2 == 0) draft_model_.reach = 1 + random_() % 40;
    draft_model_.follows = random_() % 3 == 0;
    embedder_.us_per_token = random_() % 3 == 0 ? 2 : 0;
    embedder_.cuttable = random_() % 2 == 0;
  }

  void run(int operations) {
    std::thread decode_thread([this] { scheduler_.run(); });
    std::thread js_thread([this] { read_events(); });
    for (int i = 0; i < operations; i++) act();
    const bool drain = random_() % 2 == 0;
    if (drain) drain_all();
    inbox_.close();
    decode_thread.join();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      done_ = true;
      woken_ = true;
    }
    changed_.notify_all();
    js_thread.join();
    verify(drain);
  }

  int64_t exchanges() const { return stats_.exchanges; }
  int chunks_moved() const { return decoder_.chunks_moved; }

 private:
  SchedulerOptions options(bool deterministic) {
    SchedulerOptions o;
    o.deterministic = deterministic;
    o.draft_tokens = static_cast<int>(random_() % 3 * 8);
    o.latency_target_ms = 1;
    o.lend_after = std::chrono::microseconds(100);
    o.copied_at_once = random_() % 2 == 0 ? 0 : 1000;
    if (random_() % 2 == 0) o.copy_time = Clock::duration::zero();
    return o;
  }

  /** All kinds: off, RAM for none, few or all of the images, and a folder whose limit is soon reached. */
  PromptCacheOptions cache_options(const std::string& dir, bool deterministic) {
    PromptCacheOptions o;
    o.enabled = random_() % 4 != 0;
    o.ram_bytes = std::vector<uint64_t>{0, 3000, 20000, 1 << 30}[random_() % 4];
    o.disk_bytes = random_() % 2 == 0 ? 10000 : 1 << 30;
    if (o.enabled && random_() % 2 == 0) o.dir = dir;
    decoder_.cuttable = random_() % 4 != 0;
    decoder_.states_kept = static_cast<int>(random_() % 6);
    if (random_() % 3 == 0) decoder_.keeps = static_cast<int>(random_() % 60);
    o.moved = decoder_.cuttable && decoder_.keeps == INT_MAX && !deterministic && random_() % 2 == 0;
    decoder_.checkpoints = !o.moved && random_() % 4 != 0;
    decoder_.forget_checkpoints = random_() % 4 == 0;
    decoder_.shares = random_() % 2 == 0;
    decoder_.alike = random_() % 2 == 0;
    decoder_.copy_tokens = std::vector<size_t>{1, 20, SIZE_MAX}[random_() % 3];
    return o;
  }
  std::unique_ptr<PrefixFiles> files() {
    if (cache_.dir.empty()) return nullptr;
    return std::make_unique<PrefixFiles>(cache_.dir, CacheKey{}, cache_.disk_bytes, decoder_.largest_image(),
                                         [this] { inbox_.push(WakeCommand{}); });
  }

  void act() {
    switch (random_() % 12) {
      case 10: embed(); break;
      case 11: withdraw(); break;
      case 0:
      case 1:
      case 2: submit(); break;
      case 3: cancel(); break;
      case 4: std::this_thread::sleep_for(std::chrono::microseconds(random_() % 300)); break;
      default: acknowledge(); break;
    }
  }

  void submit() {
    PreparedRequest request;
    std::lock_guard<std::mutex> lock(mutex_);
    Stream& stream = streams_[++last_id_];
    stream.control = std::make_shared<StreamControl>();
    stream.control->id = last_id_;
    stream.control->submitted = Clock::now();
    // Many prompts begin as others do, and some go on where another's reply stopped.
    if (random_() % 3 == 0) stream.prompt.assign(64 + random_() % 20, 7);
    if (last_id_ > 1 && random_() % 4 == 0) {
      const Stream& earlier = streams_[1 + static_cast<StreamId>(random_() % static_cast<uint64_t>(last_id_ - 1))];
      if (earlier.prompt.size() < 100) stream.prompt = earlier.prompt;
    }
    // Some are what others are, behind another line.
    if (random_() % 4 == 0) {
      stream.prompt.assign(random_() % 10, 8);
      for (Token i = 0; i < 90; i++) stream.prompt.push_back(1 + i * i % (FakeModel::kVocabulary - 1));
      stream.prompt.push_back(1 + static_cast<Token>(random_() % 9));
    }
    for (size_t i = stream.prompt.empty() ? 1 + random_() % 80 : 0; i > 0; i--) {
      stream.prompt.push_back(1 + static_cast<Token>(random_() % (FakeModel::kVocabulary - 1)));
    }
    stream.max_tokens = random_() % 3 == 0 ? 1 + static_cast<int>(random_() % 50) : 0;
    stream.high_water_mark = 1 + static_cast<int>(random_() % 10);
    request.control = stream.control;
    request.prepared.prompt = Prompt(stream.prompt);
    request.settings.max_tokens = stream.max_tokens;
    request.settings.high_water_mark = stream.high_water_mark;
    request.settings.sampling.seed = static_cast<uint32_t>(last_id_);
    request.settings.draft_tokens = static_cast<int>(random_() % 2 * 8);
    inbox_.push(SubmitCommand{std::move(request)});
  }

  void embed() {
    std::lock_guard<std::mutex> lock(mutex_);
    Asked& question = questions_[++last_question_];
    question.control = std::make_shared<QuestionControl>();
    question.control->number = last_question_;
    question.texts.resize(1 + random_() % 8);
    for (auto& text : question.texts) {
      for (size_t i = 1 + random_() % 32; i > 0; i--) text.push_back(static_cast<Token>(random_() % FakeModel::kVocabulary));
    }
    inbox_.push(EmbedCommand{question.control, {question.texts, 0, false}});
  }

  void withdraw() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (last_question_ == 0) return;
    Asked& question = questions_[1 + static_cast<uint32_t>(random_() % last_question_)];
    question.withdrawn = true;
    question.control->withdrawn = true;
    inbox_.push(WithdrawCommand{question.control->number});
  }

  Stream* pick() {
    if (streams_.empty()) return nullptr;
    return &streams_[1 + static_cast<StreamId>(random_() % static_cast<uint64_t>(last_id_))];
  }

  void cancel() {
    std::lock_guard<std::mutex> lock(mutex_);
    Stream* stream = pick();
    if (!stream) return;
    stream->cancelled = true;
    stream->control->cancelled = true;
    inbox_.push(CancelCommand{stream->control->id});
  }

  void acknowledge() {
    std::lock_guard<std::mutex> lock(mutex_);
    Stream* stream = pick();
    if (stream) acknowledge_all(*stream);
  }

  void acknowledge_all(Stream& stream) {
    const int tokens = stream.delivered - stream.acknowledged;
    if (tokens == 0) return;
    stream.acknowledged = stream.delivered;
    inbox_.push(AckCommand{stream.control->id, tokens});
  }

  void drain_all() {
    for (int round = 0; round < 200000; round++) {
      {
        std::lock_guard<std::mutex> lock(mutex_);
        bool open = false;
        for (auto& [id, stream] : streams_) {
          acknowledge_all(stream);
          open |= stream.ends == 0;
        }
        for (const auto& [number, question] : questions_) open |= question.answers == 0;
        if (!open) return;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    CHECK(!"streams that are read never ended");
  }

  void wake() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      woken_ = true;
      CHECK(++pending_calls_ == 1);  // never two calls pending
    }
    changed_.notify_all();
  }

  void read_events() {
    while (true) {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return woken_; });
      woken_ = false;
      pending_calls_ = 0;
      const bool last = done_;
      for (Event& event : queue_.take()) {
        if (auto* answer = std::get_if<AnswerEvent>(&event.payload)) {
          Asked& question = questions_[answer->question];
          question.answers++;
          question.vectors.clear();
          for (const auto& vector : std::get<VectorsAnswer>(answer->answer).vectors) {
            question.vectors.insert(question.vectors.end(), vector.begin(), vector.end());
          }
          continue;
        }
        if (auto* error = std::get_if<AnswerErrorEvent>(&event.payload)) {
          Asked& question = questions_[error->question];
          question.answers++;
          question.code = error->code;
          continue;
        }
        Stream& stream = streams_[event.stream];
        CHECK_EQ(stream.ends, 0);
        if (auto* text = std::get_if<TextEvent>(&event.payload)) {
          stream.text += text->text;
          stream.delivered += event.tokens;
          // A text may carry the tokens of one code point (up to four) beyond the mark, never more.
          CHECK(stream.delivered - stream.acknowledged < stream.high_water_mark + 4);
        } else if (auto* finish = std::get_if<FinishEvent>(&event.payload)) {
          stream.ends++;
          stream.reason = finish->reason;
        } else if (std::get_if<ErrorEvent>(&event.payload)) {
          stream.ends++;
          stream.failed = true;
        }
      }
      if (last) return;
    }
  }

  void verify(bool drained) {
    for (auto& [id, stream] : streams_) {
      CHECK_EQ(stream.ends, 1);
      CHECK(!stream.failed);
      const auto reply = decoder_.model.reply(stream.prompt, static_cast<uint32_t>(id), stream.max_tokens, 200);
      const std::string whole = repair_utf8(reply.bytes);
      if (stream.reason == FinishReason::kCancelled) {
        CHECK(stream.cancelled || !drained);
        CHECK_EQ(whole.compare(0, stream.text.size(), stream.text), 0);
      } else {
        CHECK_EQ(stream.text, whole);
        CHECK_EQ(stream.reason == FinishReason::kStop, reply.ended);
      }
    }
    for (const auto& [number, question] : questions_) {
      CHECK_EQ(question.answers, 1);
      if (!question.code.empty()) {
        CHECK((question.code == "ABORTED" && question.withdrawn) || (question.code == "CLOSED" && !drained));
        continue;
      }
      std::vector<float> expected;
      for (const auto& text : question.texts) {
        const auto vector = FakeEmbedder::vector_of(text, {0, false});
        expected.insert(expected.end(), vector.begin(), vector.end());
      }
      CHECK(question.vectors == expected);
    }
    CHECK(embedder_.all_places_empty());
    CHECK(decoder_.nothing_aside());
    CHECK_EQ(stats_.embedding.load(), 0);
    if (!cache_.enabled) CHECK(decoder_.all_slots_empty());
    CHECK_EQ(stats_.spilled_bytes.load(), 0);
    CHECK(static_cast<uint64_t>(stats_.cache_ram_bytes.load()) <= cache_.ram_bytes);
    CHECK_EQ(stats_.free_slots.load(), decoder_.max_slots());
  }

  std::mt19937_64 random_;
  FakeDecoder decoder_;
  FakeDraftModel draft_model_{decoder_};
  FakeEmbedder embedder_;
  Inbox inbox_;
  StreamQueue queue_{[this] { wake(); }};
  EngineStats stats_;
  PromptCacheOptions cache_;
  Scheduler scheduler_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false, done_ = false;
  int pending_calls_ = 0;
  std::map<StreamId, Stream> streams_;
  std::map<uint32_t, Asked> questions_;
  uint32_t last_question_ = 0;
  StreamId last_id_ = 0;
};

}  // namespace

TEST(
    "any interleaving of submit, cancel, ack, embed, withdraw, pause and close ends everything once and loses nothing "
    "(random)") {
  std::mt19937_64 random(check::seed());
  const TemporaryFolder folder;
  int64_t exchanges = 0, chunks_moved = 0;
  for (int round = 0; round < 60; round++) {
    Harness harness(random(), 1 + static_cast<int>(random() % 6), random() % 5 == 0, folder.path());
    harness.run(20 + static_cast<int>(random() % 300));
    exchanges += harness.exchanges();
    chunks_moved += harness.chunks_moved();
  }
  CHECK(exchanges > 0);  // and so it covers those
  CHECK(chunks_moved > 0);
}
