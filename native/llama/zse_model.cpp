#include "zse_model.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <vector>

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <share.h>
#include <windows.h>
#endif

#include "base/error.h"
#include "files/gguf/gguf_image.h"

/**
 * vendor/patches/0003-stream-read.patch: large reads of `file` by this thread go to `read`, without a copy in the stream's buffer. On Windows all
 * reads but those of the metadata do, from a whole of `size` bytes.
 */
extern "C" void zse_set_stream_read(std::FILE* file, uint64_t size,
                                    bool (*read)(void* user_data, uint64_t offset, void* out, size_t size), void* user_data);

namespace zse {

namespace {

/** The image with a place in it, as C streams want it. An exception cannot pass through C, so it waits here. */
struct Stream {
  const GgufImage& image;
  uint64_t at = 0;
  std::exception_ptr failure;

  int64_t read(char* out, uint64_t count) {
    try {
      // A buffer that is filled with the end of the header must not fail for weights after it: llama.cpp would go on with half a key.
      count = std::min(count, (at < image.header_size() ? image.header_size() : image.size()) - at);
      image.read(at, count, reinterpret_cast<uint8_t*>(out));
      at += count;
      return static_cast<int64_t>(count);
    } catch (...) {
      failure = std::current_exception();
      return -1;
    }
  }

  bool read_tensor(uint64_t offset, char* out, uint64_t count) {
    at = offset;
    return read(out, count) == static_cast<int64_t>(count);
  }

  int64_t seek(int64_t offset, int whence) {
    const uint64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? at : image.size();
    const int64_t wanted = static_cast<int64_t>(base) + offset;
    if (wanted < 0 || static_cast<uint64_t>(wanted) > image.size()) return -1;
    at = static_cast<uint64_t>(wanted);
    return wanted;
  }
};

#if defined(_WIN32)
/** This C library has no streams of a program's own: a temporary file holds the metadata. Weights do not come from it. */
std::FILE* open_stream(Stream* stream) {
  wchar_t folder[MAX_PATH + 1], name[MAX_PATH];
  std::vector<uint8_t> header(stream->image.header_size());
  stream->image.read(0, header.size(), header.data());
  if (GetTempPathW(MAX_PATH + 1, folder) != 0 && GetTempFileNameW(folder, L"zse", 0, name) != 0) {
    std::FILE* file = _wfsopen(name, L"w+bTDN", _SH_DENYRW);  // temporary, deleted when it is closed, not inherited
    if (!file) DeleteFileW(name);
    if (file && std::fwrite(header.data(), 1, header.size(), file) == header.size() && std::fflush(file) == 0) {
      std::rewind(file);
      return file;
    }
    if (file) std::fclose(file);
  }
  throw EngineError(
      "ENGINE_FAILED",
      "the metadata of a .zse file could not be written to a temporary file; free some space, or set TEMP to a "
      "folder that this user may write");
}
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__NetBSD__)
std::FILE* open_stream(Stream* stream) {
  return funopen(
      stream,
      [](void* s, char* out, int count) {
        return static_cast<int>(static_cast<Stream*>(s)->read(out, static_cast<uint64_t>(count)));
      },
      nullptr,
      [](void* s, fpos_t offset, int whence) { return static_cast<fpos_t>(static_cast<Stream*>(s)->seek(offset, whence)); },
      nullptr);
}
#else
std::FILE* open_stream(Stream* stream) {
  cookie_io_functions_t functions{};
  functions.read = [](void* s, char* out, size_t count) {
    return static_cast<ssize_t>(static_cast<Stream*>(s)->read(out, count));
  };
  // auto: glibc has off64_t here, musl off_t.
  functions.seek = [](void* s, auto* offset, int whence) -> int {
    const int64_t at = static_cast<Stream*>(s)->seek(*offset, whence);
    if (at < 0) return -1;
    *offset = at;
    return 0;
  };
  return fopencookie(stream, "rb", functions);
}
#endif

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

llama_model* load(const std::string& path, llama_model_params params, const GgufPlanOptions& options) {
  const GgufImage image(ZseFile::open(path), options);
  Stream stream{image, 0, nullptr};
  // Metadata is read in pieces of a few bytes, through a buffer. It is small since C libraries fill it anew after each seek, and
  // a row of which a part is wanted is transcoded whole.
  std::vector<char> buffer(size_t{4} << 10);
  const std::unique_ptr<std::FILE, FileCloser> file(open_stream(&stream));
  if (!file) throw EngineError("ENGINE_FAILED", "no stream could be opened for \"" + path + "\"");
#ifndef _WIN32
  std::setvbuf(file.get(), buffer.data(), _IOFBF, buffer.size());
#endif
  params.load_mode = LLAMA_LOAD_MODE_NONE;  // there is no file to map: weights are written where they are computed with
  struct LargeReads {
    LargeReads(std::FILE* file, Stream* stream) {
      zse_set_stream_read(
          file, stream->image.size(),
          [](void* s, uint64_t offset, void* out, size_t size) {
            return static_cast<Stream*>(s)->read_tensor(offset, static_cast<char*>(out), size);
          },
          stream);
    }
    ~LargeReads() { zse_set_stream_read(nullptr, 0, nullptr, nullptr); }
  } large_reads(file.get(), &stream);
  llama_model* model = llama_model_load_from_file_ptr(file.get(), params);
  if (!stream.failure) return model;
  if (model) llama_model_free(model);
  std::rethrow_exception(stream.failure);
}

}  // namespace

llama_model* load_zse_model(const std::string& path, llama_model_params params, const GgufPlanOptions& options) {
  try {
    return load(path, params, options);
  } catch (const EngineError& e) {
    const std::string message = e.what();
    if (message.find(path) != std::string::npos) throw;
    throw EngineError(e.code(), "\"" + path + "\": " + message);
  }
}

}  // namespace zse
