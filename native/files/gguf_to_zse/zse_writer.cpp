#include "zse_writer.h"

#include <algorithm>
#include <cstring>

#include "base/crc32.h"
#include "files/gguf/rows.h"
#include "value_writer.h"

namespace zse {

namespace {

constexpr uint64_t kHeaderSize = 64, kTableRow = 32, kPage = 4096, kTensorAlignment = 256;
constexpr uint32_t kConfig = 0, kTokenizer = 1, kIndex = 2, kData = 3;
constexpr uint32_t kHasTokenizer = 1, kMapReady = 4;
constexpr uint64_t kBatchValues = 1 << 16;  // float32 values in memory at once, but for longer rows

uint64_t aligned(uint64_t size, uint64_t alignment) { return (size + alignment - 1) / alignment * alignment; }

uint64_t elements_of(const ZseEntry& entry) {
  uint64_t elements = 1;
  for (const uint64_t length : entry.shape) elements *= length;
  return elements;
}

struct Section {
  uint32_t type;
  uint64_t offset, size;
  uint32_t crc;
};

uint32_t checksum(const std::string& bytes) { return crc32({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}); }

template <class Number>
void put(std::string& out, Number value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string header_of(const std::vector<Section>& sections, uint64_t total) {
  std::string out("ZSE\x01", 4);
  put<uint32_t>(out, 1);
  put<uint64_t>(out, total);
  put<uint32_t>(out, kHasTokenizer | kMapReady);
  put<uint32_t>(out, static_cast<uint32_t>(sections.size()));
  out.resize(kHeaderSize);
  for (const Section& section : sections) {
    put(out, section.type);
    put(out, section.offset);
    put(out, section.size);
    put(out, section.crc);
    put<uint64_t>(out, 0);
  }
  return out;
}

const char* dtype_of(Quant quant) {
  switch (quant) {
    case Quant::kFp16: return "float16";
    case Quant::kInt8: return "int8";
    case Quant::kInt4: return "int4";
  }
  return "";
}

/** The index, and the size of the weights' section: both follow from the shapes. */
struct Index {
  std::string bytes;
  std::vector<uint64_t> offsets;  // of each entry's data in the section
  uint64_t data_size = 0;
};

Index index_of(const std::vector<ZseEntry>& entries) {
  Index index;
  ValueWriter out;
  out.list(entries.size());
  uint64_t end = 0;
  for (const ZseEntry& entry : entries) {
    const CodedSize size = coded_size(entry.quant, elements_of(entry), entry.group_size);
    const uint64_t start = aligned(end, kTensorAlignment);
    const auto integer = [&](const char* name, uint64_t value) {
      out.text(name);
      out.integer(static_cast<int64_t>(value));
    };
    const auto part = [&](const char* offset_name, const char* size_name, uint64_t offset, uint64_t bytes) {
      integer(offset_name, bytes > 0 ? offset : 0);
      integer(size_name, bytes);
    };
    out.map(11);
    out.text("name");
    out.text(entry.name);
    out.text("shape");
    out.list(entry.shape.size());
    for (const uint64_t length : entry.shape) out.integer(static_cast<int64_t>(length));
    out.text("dtype");
    out.text(dtype_of(entry.quant));
    integer("quant_method", entry.quant == Quant::kInt4 ? 1 : entry.quant == Quant::kInt8 ? 2 : 0);
    integer("group_size", static_cast<uint64_t>(entry.group_size));
    part("data_offset", "data_nbytes", start, size.data);
    part("scale_offset", "scale_nbytes", start + size.data, size.scales);
    part("zeros_offset", "zeros_nbytes", start + size.data + size.scales, size.zeros);
    index.offsets.push_back(start);
    end = start + size.total();
  }
  index.bytes = out.bytes();
  index.data_size = end;
  return index;
}

/** llama.cpp rotates neighbouring rows of a head, Hugging Face's models the two halves: where a row of theirs lies in GGUF. */
uint64_t gguf_row(uint64_t row, uint64_t head_rows) {
  if (head_rows == 0) return row;
  const uint64_t head = row / head_rows, within = row % head_rows, half = head_rows / 2;
  return head * head_rows + within % half * 2 + within / half;
}

/** Writes one tensor; `done` is told the values that are written. False when it says so. */
template <class Done>
bool write_tensor(const ZseEntry& entry, const FileMap& source, OutputFile& out, Done done) {
  const gguf::Tensor& from = *entry.source;
  const std::string_view bytes = source.bytes().text();
  const uint64_t width = from.shape[0], rows = from.elements() / width;
  GroupQuantizer quantizer(entry.quant, entry.group_size);
  std::vector<float> values(width);
  std::string codes;
  uint64_t batch = 0;
  for (uint64_t row = 0; row < rows; row++) {
    // A 1-D tensor with heads is a bias: its values move as a matrix's rows do.
    const bool scattered = entry.head_rows != 0 && entry.shape.size() == 1;
    const uint64_t at = scattered ? row : gguf_row(row, entry.head_rows);
    if (entry.keeps_blocks) {
      const std::string_view blocks = gguf::row_bytes(from, bytes, at);
      quantizer.take_q8_0(reinterpret_cast<const uint8_t*>(blocks.data()), width / 32, codes);
    } else {
      gguf::read_row(from, bytes, at, values.data());
      if (scattered) {
        const std::vector<float> before = values;
        for (uint64_t i = 0; i < width; i++) values[i] = before[gguf_row(i, entry.head_rows)];
      }
      if (entry.subtract != 0) {
        for (float& value : values) value -= entry.subtract;
      }
      quantizer.take(values.data(), width, codes);
    }
    batch += width;
    if (batch >= kBatchValues) {
      out.write(codes);
      codes.clear();
      if (!done(batch)) return false;
      batch = 0;
    }
  }
  quantizer.finish(codes);
  out.write(codes);
  source.forget(from.offset, from.size);
  return done(batch);
}

}  // namespace

bool write_zse(const ZsePlan& plan, const FileMap& source, OutputFile& out, const ConvertProgress& progress) {
  const Index index = index_of(plan.entries);
  const uint64_t table_end = kHeaderSize + 4 * kTableRow;
  const uint64_t tokenizer_at = table_end + plan.config.size();
  const uint64_t data_at = aligned(tokenizer_at + plan.tokenizer.size(), kPage);
  const uint64_t index_at = data_at + index.data_size;
  const std::vector<Section> sections = {{kConfig, table_end, plan.config.size(), checksum(plan.config)},
                                         {kTokenizer, tokenizer_at, plan.tokenizer.size(), checksum(plan.tokenizer)},
                                         {kData, data_at, index.data_size, 0},
                                         {kIndex, index_at, index.bytes.size(), checksum(index.bytes)}};
  out.write(header_of(sections, index_at + index.bytes.size()));
  out.write(plan.config);
  out.write(plan.tokenizer);

  uint64_t all = 0, written = 0;
  for (const ZseEntry& entry : plan.entries) all += elements_of(entry);
  for (size_t i = 0; i < plan.entries.size(); i++) {
    out.pad_to(data_at + index.offsets[i]);
    const bool go_on = write_tensor(plan.entries[i], source, out, [&](uint64_t values) {
      written += values;
      return progress(static_cast<double>(written) / static_cast<double>(all));
    });
    if (!go_on) return false;
  }
  out.write(index.bytes);
  return true;
}

}  // namespace zse
