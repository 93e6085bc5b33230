#include "gguf_image.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/parallel.h"
#include "ggml.h"
#include "gguf.h"

namespace zse {

namespace {

static_assert(static_cast<int>(GgmlType::kF32) == GGML_TYPE_F32 && static_cast<int>(GgmlType::kF16) == GGML_TYPE_F16 &&
              static_cast<int>(GgmlType::kQ4_0) == GGML_TYPE_Q4_0 && static_cast<int>(GgmlType::kQ4_1) == GGML_TYPE_Q4_1 &&
              static_cast<int>(GgmlType::kQ8_0) == GGML_TYPE_Q8_0);

constexpr uint64_t kPartBytes = 256 << 10;  // of a tensor that a thread transcodes at a time
constexpr uint64_t kSlabBytes = 16 << 20;   // after so much, what it came from is forgotten

struct GgufDeleter {
  void operator()(gguf_context* gguf) const { gguf_free(gguf); }
};
struct GgmlDeleter {
  void operator()(ggml_context* ggml) const { ggml_free(ggml); }
};

void set_value(gguf_context* gguf, const char* key, const GgufValue& value) {
  std::visit(
      [&](const auto& held) {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, uint32_t>)
          gguf_set_val_u32(gguf, key, held);
        else if constexpr (std::is_same_v<T, int32_t>)
          gguf_set_val_i32(gguf, key, held);
        else if constexpr (std::is_same_v<T, float>)
          gguf_set_val_f32(gguf, key, held);
        else if constexpr (std::is_same_v<T, bool>)
          gguf_set_val_bool(gguf, key, held);
        else if constexpr (std::is_same_v<T, std::string>)
          gguf_set_val_str(gguf, key, held.c_str());
        else if constexpr (std::is_same_v<T, std::vector<float>>) {
          gguf_set_arr_data(gguf, key, GGUF_TYPE_FLOAT32, held.data(), held.size());
        } else if constexpr (std::is_same_v<T, std::vector<int32_t>>) {
          gguf_set_arr_data(gguf, key, GGUF_TYPE_INT32, held.data(), held.size());
        } else {
          std::vector<const char*> texts;
          texts.reserve(held.size());
          for (const std::string& text : held) texts.push_back(text.c_str());
          gguf_set_arr_str(gguf, key, texts.data(), texts.size());
        }
      },
      value);
}

/** Bytes of a row in the .zse where rows lie one after the other; 0 where they do not, or where one may end within a byte. */
uint64_t stored_row_bytes(const Tensor& tensor) {
  const auto columns = static_cast<uint64_t>(tensor.columns());
  switch (tensor.coding) {
    case Coding::kF32: return columns * 4;
    case Coding::kF16: return columns * 2;
    case Coding::kInt8Flat:
    case Coding::kInt8Rows: return columns;
    case Coding::kInt4Flat: return columns % 2 == 0 ? columns / 2 : 0;  // tiled: of 64 rows as many as of 64 row-major ones
    case Coding::kInt4Rows: return 0;
  }
  return 0;
}

}  // namespace

GgufImage::GgufImage(std::shared_ptr<const ZseFile> file, const GgufPlanOptions& options, int threads)
    : file_(std::move(file)), plan_(plan_gguf(file_, options)), threads_(worker_count(threads)) {
  make_header();
}

void GgufImage::make_header() {
  const std::unique_ptr<gguf_context, GgufDeleter> gguf(gguf_init_empty());
  const size_t memory = ggml_tensor_overhead() * (plan_.tensors.size() + 1);
  const std::unique_ptr<ggml_context, GgmlDeleter> ggml(ggml_init({memory, nullptr, /*no_alloc*/ true}));
  for (const GgufEntry& entry : plan_.metadata) set_value(gguf.get(), entry.key.c_str(), entry.value);
  for (const GgufTensor& tensor : plan_.tensors) {
    const auto type = static_cast<ggml_type>(tensor.type);
    // A vector of biases belongs to a matrix: its elements move as that one's rows do.
    ggml_tensor* made = tensor.vector ? ggml_new_tensor_1d(ggml.get(), type, tensor.columns)
                                      : ggml_new_tensor_2d(ggml.get(), type, tensor.columns, tensor.rows);
    ggml_set_name(made, tensor.name.c_str());
    gguf_add_tensor(gguf.get(), made);
  }
  header_.resize(gguf_get_meta_size(gguf.get()));
  gguf_get_meta_data(gguf.get(), header_.data());
  size_ = header_.size();
  for (size_t i = 0; i < plan_.tensors.size(); i++) {
    const GgufTensor& tensor = plan_.tensors[i];
    const uint64_t row = row_bytes(tensor.type, tensor.columns);
    const uint64_t offset = header_.size() + gguf_get_tensor_offset(gguf.get(), static_cast<int64_t>(i));
    const uint64_t size = row * static_cast<uint64_t>(tensor.rows);
    pieces_.push_back({&tensor, offset, size, row});
    const uint64_t alignment = gguf_get_alignment(gguf.get());
    size_ = (offset + size + alignment - 1) / alignment * alignment;
  }
}

void GgufImage::read(uint64_t offset, uint64_t count, uint8_t* out) const {
  const auto take = [&](uint64_t bytes) {
    offset += bytes;
    count -= bytes;
    out += bytes;
  };
  if (offset < header_.size()) {
    const uint64_t part = std::min(count, header_.size() - offset);
    std::memcpy(out, header_.data() + offset, part);
    take(part);
  }
  auto piece = std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                                [](uint64_t at, const Piece& one) { return at < one.offset + one.size; });
  while (count > 0) {
    const bool within = piece != pieces_.end() && offset >= piece->offset;
    const uint64_t next = piece == pieces_.end() ? size_ : within ? piece->offset + piece->size : piece->offset;
    const uint64_t part = std::min(count, next - offset);
    if (within) {
      read_piece(*piece, offset - piece->offset, part, out);
      if (offset + part == next) ++piece;
    } else {
      std::memset(out, 0, part);  // alignment
    }
    take(part);
  }
}

void GgufImage::read_piece(const Piece& piece, uint64_t offset, uint64_t count, uint8_t* out) const {
  const uint64_t end = offset + count;
  std::vector<uint8_t> row;
  while (offset < end) {
    const uint64_t within = offset % piece.row_bytes, index = offset / piece.row_bytes;
    if (within == 0 && end - offset >= piece.row_bytes) {
      const uint64_t most = std::max<uint64_t>(1, kSlabBytes / piece.row_bytes);
      const uint64_t rows = std::min(most, (end - offset) / piece.row_bytes);
      read_rows(piece, static_cast<int64_t>(index), static_cast<int64_t>(index + rows), out);
      offset += rows * piece.row_bytes;
      out += rows * piece.row_bytes;
    } else {
      row.resize(piece.row_bytes);
      read_rows(piece, static_cast<int64_t>(index), static_cast<int64_t>(index) + 1, row.data());
      const uint64_t part = std::min(end - offset, piece.row_bytes - within);
      std::memcpy(out, row.data() + within, part);
      offset += part;
      out += part;
    }
  }
  if (end == piece.size && piece.tensor->source && file_->map()) {
    for (const Range& range : {piece.tensor->source->data, piece.tensor->source->scales, piece.tensor->source->zeros}) {
      file_->map()->forget(range.offset, range.size);
    }
  }
}

void GgufImage::read_rows(const Piece& piece, int64_t first, int64_t end, uint8_t* out) const {
  const GgufTensor& tensor = *piece.tensor;
  if (!tensor.source) {
    std::memcpy(out, tensor.values.data(), tensor.values.size() * sizeof(float));
    return;
  }
  if (tensor.vector && tensor.rotated_head_dim != 0) {
    std::vector<float> values(static_cast<size_t>(tensor.columns));
    RowReader(*tensor.source, file_->bytes()).decode(0, values.data());
    for (int64_t i = 0; i < tensor.columns; i++) {
      std::memcpy(out + i * 4, &values[static_cast<size_t>(tensor.source_row(i))], sizeof(float));
    }
    return;
  }
  const auto part = static_cast<int64_t>(std::max<uint64_t>(1, kPartBytes / piece.row_bytes));
  const auto parts = static_cast<size_t>((end - first + part - 1) / part);
  const uint64_t stored = tensor.rotated_head_dim == 0 ? stored_row_bytes(*tensor.source) : 0;
  const bool as_it_is =
      stored != 0 && tensor.source->coding == Coding::kF16 && tensor.type == GgmlType::kF16 && tensor.add == 0;
  parallel_for(parts, threads_, [&](size_t i) {
    RowReader reader(*tensor.source, file_->bytes());
    const int64_t begin = first + static_cast<int64_t>(i) * part, last = std::min(begin + part, end);
    if (file_->map() && as_it_is) {
      uint8_t* to = out + static_cast<uint64_t>(begin - first) * piece.row_bytes;
      file_->map()->read(tensor.source->data.offset + static_cast<uint64_t>(begin) * stored,
                         static_cast<uint64_t>(last - begin) * stored, to);
      if (all_finite_halves(to, static_cast<uint64_t>((last - begin) * tensor.columns)))
        return;  // else the reader says where
    }
    for (int64_t row = begin; row < last; row++) {
      reader.encode(tensor.source_row(row), tensor.type, out + static_cast<uint64_t>(row - first) * piece.row_bytes,
                    tensor.add);
    }
  });
  if (file_->map()) file_->map()->check_whole();
  forget_rows(piece, first, end);
}

void GgufImage::forget_rows(const Piece& piece, int64_t first, int64_t end) const {
  const Tensor& source = *piece.tensor->source;
  const uint64_t stored = stored_row_bytes(source);
  if (!file_->map() || stored == 0 || piece.tensor->rotated_head_dim != 0) return;
  file_->map()->forget(source.data.offset + static_cast<uint64_t>(first) * stored,
                       static_cast<uint64_t>(end - first) * stored);
}

}  // namespace zse
