#include "convert.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "files/gguf/check.h"
#include "files/gguf/gguf_image.h"
#include "files/zse/zse_file.h"
#include "model_kind.h"

namespace zse {

namespace {

constexpr uint64_t kChunk = 1 << 22;

/** Whether a path ends so, in whatever case. */
bool ends_with(const std::string& path, const std::string& ending) {
  return path.size() >= ending.size() && std::equal(ending.rbegin(), ending.rend(), path.rbegin(), [](char a, char b) {
           return a == std::tolower(static_cast<unsigned char>(b));
         });
}

/** The format follows from the input. A name that says another one is a misunderstanding: of what is converted, or of what that can do. */
void check_name(const std::string& input, const std::string& output, FileKind kind, const ConvertOptions& options) {
  const bool from_gguf = kind == FileKind::kGguf;
  const std::string from = from_gguf ? "GGUF" : ".zse", to = from_gguf ? ".zse" : "GGUF";
  const std::string ending = from_gguf ? ".zse" : ".gguf";
  if (!ends_with(output, from_gguf ? ".gguf" : ".zse")) return;
  std::string message = "\"" + input + "\" is a " + from + " file, so a " + to + " file is made of it, and \"" + output +
                        "\" has the name of a " + from + " file; give a name that ends in " + ending;
  if (options.quant && from_gguf) {
    message += " (to quantize, write a .zse file with --quant: it opens as it is, and another zse convert makes GGUF of it)";
  } else if (options.quant) {
    message += " (a .zse file is not quantized again: convert the GGUF file that it came from, with --quant)";
  }
  throw EngineError("BAD_OPTION", message);
}

[[noreturn]] void throw_cancelled() {
  throw EngineError("CLOSED", "the conversion was cancelled; nothing of it was left behind");
}

void gguf_to_zse(const std::string& input, OutputFile& out, const ConvertOptions& options, const ConvertProgress& progress,
                 ConvertReport& report) {
  const auto source = FileMap::open(input);
  try {
    const gguf::Header header = gguf::read_header(*source);
    if (const gguf::Split split = gguf::split_of(header); split.count > 1) {
      throw EngineError("UNSUPPORTED", "\"" + input + "\": " + gguf::label_of(split) +
                                           ", and only a whole model is converted; join the parts first, with llama.cpp's " +
                                           "llama-gguf-split --merge " + gguf::first_part_of(input, split) + " whole.gguf");
    }
    gguf::check(header);
    const ZsePlan plan = plan_zse(header, options.quant.value_or(Quant::kInt8));
    report.notes = plan.notes;
    if (!write_zse(plan, *source, out, progress)) throw_cancelled();
  } catch (const gguf::FileError& error) {
    source->check_whole(input);
    gguf::refuse(input, error);
  } catch (const EngineError& error) {
    if (error.code() != "CLOSED") source->check_whole(input);  // the better reason, where it is that
    throw;
  }
  source->check_whole(input);
}

void zse_to_gguf(const std::string& input, OutputFile& out, const ConvertProgress& progress, ConvertReport& report) {
  const auto file = ZseFile::open(input);
  report.from = "zse" + std::to_string(file->generation());
  const GgufImage image(file);
  report.notes = image.plan().notes;
  std::string chunk;
  for (uint64_t at = 0; at < image.size(); at += chunk.size()) {
    chunk.resize(std::min(kChunk, image.size() - at));
    image.read(at, chunk.size(), reinterpret_cast<uint8_t*>(chunk.data()));
    out.write(chunk);
    if (!progress(static_cast<double>(at + chunk.size()) / static_cast<double>(image.size()))) throw_cancelled();
  }
}

}  // namespace

ConvertReport convert_file(const std::string& input, const std::string& output, const ConvertOptions& options,
                           const ConvertProgress& progress) {
  ConvertReport report;
  FileKind kind;
  {
    const auto source = FileMap::open(input);
    kind = kind_of_model(input, source->bytes());
    report.bytes_read = source->bytes().size;
  }
  check_name(input, output, kind, options);
  if (kind != FileKind::kGguf && options.quant) {
    throw EngineError(
        "BAD_OPTION",
        "--quant says how a .zse file is to be written, and this conversion writes GGUF, which keeps the coding of \"" +
            input + "\"; leave it out");
  }
  OutputFile out(output, options.overwrite);
  if (kind == FileKind::kGguf) {
    report.from = "gguf";
    report.to = "zse2";
    gguf_to_zse(input, out, options, progress, report);
  } else {
    report.to = "gguf";
    zse_to_gguf(input, out, progress, report);
  }
  if (!progress(1)) throw_cancelled();
  report.bytes_written = out.size();
  out.commit();
  return report;
}

}  // namespace zse
