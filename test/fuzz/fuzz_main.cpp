// Owns the fuzzer of model files: each case is a mutated copy of a sound file, inspected, opened, given a context and asked for a few tokens
// in a child process of its own. A case fails when the child crashes, hangs, takes memory that the file's size does not justify, or
// refuses the file in another way than with BAD_MODEL or UNSUPPORTED. scripts/fuzz.mjs builds and starts it.
//
//   zse_fuzz [--seconds N] [--seed N] [--case N] [--keep DIRECTORY] [--unchecked] file …
//
// Of each .zse file, the GGUF file that it is equivalent to is mutated too. Everything follows from the seed and the number of the case: --seed S --case N makes one case again.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "files/gguf/gguf_image.h"
#include "files/inspect.h"
#include "gguf_mutator.h"
#include "llama/devices.h"
#include "llama/ggml_abort.h"
#include "llama/llama_decoder.h"
#include "llama/model.h"
#include "llama/prompt.h"
#include "random.h"
#include "zse_mutator.h"

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kProcessorSeconds = 20;  // a sound file takes well under one, under sanitizers
constexpr int kHangSeconds = 400;  // for what waits and does not compute; a busy machine may keep a case waiting for long
constexpr int kExitRefused = 40, kExitWrongError = 41, kExitMemory = 42;

/** What a file of so many bytes may take: context, graph and vocabulary of a small model, and several times the weights. */
int64_t memory_limit(uint64_t file_size) { return int64_t{160} * 1024 * 1024 + 24 * static_cast<int64_t>(file_size); }

std::atomic<int64_t> live_bytes{0}, peak_bytes{0}, limit_bytes{INT64_MAX};

}  // namespace

// The sanitizers' allocator says what is asked of it; without sanitizers there is nothing to hear, and nothing is limited.
extern "C" {
__attribute__((weak)) int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*, size_t),
                                                                    void (*)(const volatile void*));
__attribute__((weak)) size_t __sanitizer_get_allocated_size(const volatile void*);
__attribute__((visibility("default"))) const char* __asan_default_options() {
  return "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=4096:handle_abort=1";
}
__attribute__((visibility("default"))) const char* __ubsan_default_options() { return "print_stacktrace=1"; }
}

namespace {

void on_malloc(const volatile void*, size_t size) {
  const int64_t now = live_bytes += static_cast<int64_t>(size);
  if (now > peak_bytes) peak_bytes = now;
  if (now > limit_bytes) {
    limit_bytes = INT64_MAX;
    std::fprintf(stderr, "memory: %lld MiB are in use, the last %zu KiB were asked for here\n",
                 static_cast<long long>(now >> 20), size >> 10);
    std::abort();
  }
}
void on_free(const volatile void* block) {
  if (block) live_bytes -= static_cast<int64_t>(__sanitizer_get_allocated_size(block));
}

struct Options {
  double seconds = 60;
  uint64_t seed = std::random_device{}();
  int64_t only = -1;
  std::string keep;
  std::vector<std::string> files;
};

/** Inspects the file, which tells what it can of a damaged one too; then uses it as an engine does: a prompt, a few tokens, all texts. */
void use(const std::string& path) {
  try {
    zse::inspect_file(path);
  } catch (const zse::EngineError&) {
    // What is no model file at all is refused again below.
  }
  zse::EngineOptions options;
  options.context_size = 64;
  options.max_streams = 2;
  options.threads = 1;
  options.gpu_layers = 0;
  options.device = "cpu";
  const auto model = zse::Model::load(path, options, [](float) { return true; });
  zse::LlamaDecoder decoder(model);
  const std::atomic<bool> cancelled{false};
  const zse::PromptBuilder builder(model, cancelled);
  std::vector<zse::Token> tokens = {0};
  for (const bool chat : {false, true}) {
    zse::RequestSpec request;
    if (chat) {
      request.input = zse::ChatInput{R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}])"};
    } else {
      request.input = zse::TextInput{"Once upon a time\n 12 <s> \xE2\x82\xAC\xF0\x9F\x99\x82 it's"};
    }
    zse::PromptStage stage;
    zse::WorkBound bound(builder.limits());
    try {
      const zse::WorkBound::Scope scope(bound);
      const zse::AbortGuard guard(zse::AbortBlame::kEngine);
      tokens = builder.build(request, stage).prompt.tokens();
    } catch (const zse::WorkStopped&) {
    } catch (const std::exception&) {
      // A prompt that cannot be prepared ends a request, not the engine.
    }
  }
  const int vocabulary = model->info().vocabulary_size;
  std::string text;
  for (zse::Token token = 0; token < vocabulary; token++) {
    text.clear();
    decoder.append_piece(token, text);
  }
  zse::SamplingParams sampling;
  sampling.seed = 1;
  const auto sampler = decoder.make_sampler(sampling, zse::Prompt(tokens), nullptr);
  int position = 0;
  for (int step = 0; step < 3; step++) {
    zse::Batch batch;
    for (const zse::Token token : tokens) {
      if (position < 60) batch.push_back({token, position++, 0, false});
    }
    if (batch.empty()) return;
    batch.back().output = true;
    const auto status = decoder.decode(batch, [] { return false; });
    if (status != zse::DecodeStatus::kOk) return;
    const auto next = decoder.sample(*sampler, batch.size() - 1);
    if (!next) return;
    tokens = {*next};
  }
}

/** A refusal names the place in the file, unless it is llama.cpp's own, or is about the file as a whole. */
bool says_where(const std::string& message) {
  for (const char* words :
       {"at byte ", "could not be loaded", "llama.cpp gave up", "is empty", "is not a model file", "this is part "}) {
    if (message.find(words) != std::string::npos) return true;
  }
  return false;
}

[[noreturn]] void run_child(const std::string& path, uint64_t size) {
  alarm(kHangSeconds);
  const rlimit processor{kProcessorSeconds, kProcessorSeconds + 1};
  setrlimit(RLIMIT_CPU, &processor);
  limit_bytes = live_bytes + memory_limit(size);
  try {
    use(path);
  } catch (const zse::EngineError& error) {
    if (error.code() == "UNSUPPORTED" || (error.code() == "BAD_MODEL" && says_where(error.what()))) {
      if (std::getenv("ZSE_FUZZ_SAY")) std::fprintf(stderr, "%s: %s\n", error.code().c_str(), error.what());
      _exit(kExitRefused);
    }
    std::fprintf(stderr, "refused with %s: %s\n", error.code().c_str(), error.what());
    _exit(kExitWrongError);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "threw something else than an EngineError: %s\n", error.what());
    _exit(kExitWrongError);
  }
  _exit(0);
}

struct Outcome {
  int status = 0;
  std::string said;
};

Outcome run(const std::string& path, uint64_t size) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("no pipe");
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    run_child(path, size);
  }
  close(ends[1]);
  Outcome outcome;
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) {
    if (outcome.said.size() < (1 << 16)) outcome.said.append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  waitpid(child, &outcome.status, 0);
  return outcome;
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/** The GGUF file that a .zse file is equivalent to: seeds of every architecture. Empty for one without a tokenizer. */
std::string gguf_of(const std::string& zse_bytes) {
  try {
    const zse::GgufImage image(zse::ZseFile::parse({reinterpret_cast<const uint8_t*>(zse_bytes.data()), zse_bytes.size()}));
    std::string bytes(image.size(), '\0');
    image.read(0, bytes.size(), reinterpret_cast<uint8_t*>(bytes.data()));
    return bytes;
  } catch (const zse::EngineError&) {
    return {};
  }
}

/** The line that tells failures apart: where it went wrong, without addresses. */
std::string summary(const Outcome& outcome) {
  if (WIFSIGNALED(outcome.status) && (WTERMSIG(outcome.status) == SIGALRM || WTERMSIG(outcome.status) == SIGXCPU))
    return "hang";
  for (const char* mark :
       {"memory:", "runtime error:", "GGML_ASSERT", "ERROR: AddressSanitizer", "refused with", "threw", ": fatal error"}) {
    const size_t at = outcome.said.find(mark);
    if (at == std::string::npos) continue;
    const size_t start = outcome.said.rfind('\n', at) + 1;
    std::string line = outcome.said.substr(start, outcome.said.find('\n', at) - start);
    const size_t digits = line.find_first_of(
        "0123456789", line.find("runtime error") != std::string::npos ? line.find("runtime error") : line.size());
    if (digits != std::string::npos) line.resize(digits);  // the value that was met: the same mistake whatever it is
    return line.substr(0, 160);
  }
  return "exit status " + std::to_string(outcome.status) + " " + outcome.said.substr(0, 160);
}

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    const auto value = [&] { return i + 1 < argc ? std::string(argv[++i]) : std::string(); };
    if (word == "--seconds")
      options.seconds = std::stod(value());
    else if (word == "--seed")
      options.seed = std::stoull(value());
    else if (word == "--case")
      options.only = std::stoll(value());
    else if (word == "--keep")
      options.keep = value();
    else
      options.files.push_back(word);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  if (options.files.empty()) {
    std::cerr << "usage: zse_fuzz [--seconds N] [--seed N] [--case N] [--keep DIRECTORY] file …\n";
    return 2;
  }
  if (__sanitizer_install_malloc_and_free_hooks) __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
  zse::init_backends();
  std::vector<std::string> seeds;
  for (const std::string& file : options.files) seeds.push_back(bytes_of(file));

  const fs::path scratch = fs::temp_directory_path() / ("zse-fuzz-" + std::to_string(getpid()));
  fs::create_directories(scratch);
  const std::string path = (scratch / "case.model").string();
  std::cout << "fuzz: seed " << options.seed << ", " << seeds.size() << " files" << std::endl;

  for (size_t i = 0; i < options.files.size(); i++) {
    if (!fuzz::is_zse(seeds[i])) continue;
    if (std::string gguf = gguf_of(seeds[i]); !gguf.empty()) seeds.push_back(std::move(gguf));
  }
  for (size_t i = 0; i < seeds.size(); i++) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << seeds[i];
    const Outcome outcome = run(path, seeds[i].size());
    // A model without a tokenizer is sound, and refused for that.
    if (outcome.status != 0 && !(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == kExitRefused)) {
      const std::string name = i < options.files.size() ? options.files[i] : "the GGUF file of a .zse file";
      std::cout << "FAILED  " << name << " itself: " << summary(outcome) << "\n" << outcome.said << std::endl;
      return 1;
    }
  }

  const auto start = Clock::now();
  std::map<std::string, int> failures;
  uint64_t cases = 0, refused = 0;
  for (uint64_t number = options.only >= 0 ? options.only : 0;; number++) {
    if (std::chrono::duration<double>(Clock::now() - start).count() > options.seconds) break;
    fuzz::Random random(options.seed, number);
    const std::string& sound = random.pick(seeds);
    const std::string bytes = fuzz::is_zse(sound) ? fuzz::mutate_zse(sound, random) : fuzz::mutate_gguf(sound, random);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    const Outcome outcome = run(path, bytes.size());
    cases++;
    const int code = WIFEXITED(outcome.status) ? WEXITSTATUS(outcome.status) : -1;
    if (code == kExitRefused) refused++;
    if (code != 0 && code != kExitRefused) {
      const std::string what = summary(outcome);
      if (failures[what]++ == 0) {
        std::cout << "FAILED  case " << number << ": " << what << std::endl;
        if (!options.keep.empty()) {
          fs::create_directories(options.keep);
          const std::string name = options.keep + "/" + std::to_string(options.seed) + "-" + std::to_string(number);
          std::ofstream(name + ".model", std::ios::binary) << bytes;
          std::ofstream(name + ".txt") << outcome.said;
        }
      }
    }
    if (options.only >= 0) {
      std::cout << outcome.said << std::endl;
      break;
    }
  }
  fs::remove_all(scratch);
  for (const auto& [what, count] : failures) std::cout << count << " × " << what << "\n";
  std::cout << "fuzz: " << cases << " cases, " << refused << " refused, " << cases - refused << " opened or failed"
            << std::endl;
  std::cout << (failures.empty() ? 1 : 0) << " passed, " << failures.size() << " failed" << std::endl;
  return failures.empty() ? 0 : 1;
}
