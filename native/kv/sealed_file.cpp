#include "sealed_file.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <fstream>
#include <random>

#ifdef _WIN32
#include <io.h>
#define fdopen _fdopen
#endif

namespace zse {

namespace {

constexpr uint8_t kMagic[8] = {'Z', 'S', 'E', 'K', 'V', 'X', 0, 1};
constexpr size_t kSalt = 16, kHead = sizeof kMagic + kSalt, kSection = 65536, kTag = 16;

using Salt = std::array<uint8_t, kSalt>;

constexpr Salt kForFiles = {'z', 's', 't', 'r', 'e', 'a', 'm', ' ', 'f', 'i', 'l', 'e', 's', 0, 0, 1};
constexpr Salt kForNames = {'z', 's', 't', 'r', 'e', 'a', 'm', ' ', 'n', 'a', 'm', 'e', 's', 0, 0, 1};

/** From the system's source. Throws where there is none. */
Salt draw_salt() {
  std::random_device source;
  Salt salt{};
  for (uint8_t& byte : salt) byte = static_cast<uint8_t>(source());
  return salt;
}

AeadNonce nonce_of(uint64_t number, bool last) {
  AeadNonce nonce{};
  for (size_t i = 0; i < 8; i++) nonce[i] = static_cast<uint8_t>(number >> (8 * i));
  nonce[8] = last ? 1 : 0;
  return nonce;
}

Salt salt_of(const std::vector<uint8_t>& head) {
  Salt salt{};
  std::copy(head.begin() + sizeof kMagic, head.end(), salt.begin());
  return salt;
}

/** Of a sealed file; 0: no whole sections make it. */
uint64_t plain_bytes(uint64_t length) {
  if (length <= kHead) return 0;
  const uint64_t body = length - kHead, last = body % (kSection + kTag);
  if (last != 0 && last <= kTag) return 0;
  return body - (body / (kSection + kTag) + (last != 0)) * kTag;
}

}  // namespace

CacheSecret::CacheSecret(const AeadKey& key) : files_(derive_key(key, kForFiles)), names_(derive_key(key, kForNames)) {}

std::array<uint8_t, 16> CacheSecret::name_of(const std::array<uint8_t, 16>& what) const {
  const AeadKey derived = derive_key(names_, what);
  std::array<uint8_t, 16> name{};
  std::copy(derived.begin(), derived.begin() + 16, name.begin());
  return name;
}

bool says_sealed(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  char magic[sizeof kMagic];
  return file.read(magic, sizeof magic) && std::memcmp(magic, kMagic, sizeof kMagic) == 0;
}

uint64_t stored_bytes(const std::optional<CacheSecret>& secret, uint64_t bytes) {
  return secret ? kHead + bytes + (bytes + kSection - 1) / kSection * kTag : bytes;
}

// ---- writing ---------------------------------------------------------------------------------------------------------

bool StoredWriter::begin() {
  Salt salt{};
  try {
    salt = draw_salt();
  } catch (const std::exception&) {  // without it nothing is written
    return false;
  }
  head_.assign(kMagic, kMagic + sizeof kMagic);
  head_.insert(head_.end(), salt.begin(), salt.end());
  key_ = secret_->of_file(salt);
  section_.reserve(kSection);
  return file_.write(head_.data(), head_.size());
}

bool StoredWriter::seal(bool last) {
  const AeadTag tag = aead_seal(key_, nonce_of(number_, last), head_.data(), head_.size(), section_.data(), section_.size());
  number_++;
  const bool written = file_.write(section_.data(), section_.size()) && file_.write(tag.data(), tag.size());
  section_.clear();
  return written;
}

bool StoredWriter::write(const void* bytes, size_t size) {
  if (!secret_) return file_.write(bytes, size);
  if (head_.empty() && !begin()) return false;
  const uint8_t* next = static_cast<const uint8_t*>(bytes);
  while (size > 0) {
    if (section_.size() == kSection && !seal(false)) return false;  // only now is it known not to be the last
    const size_t now = std::min(size, kSection - section_.size());
    section_.insert(section_.end(), next, next + now);
    next += now;
    size -= now;
  }
  return true;
}

bool StoredWriter::finish() { return (!secret_ || (!head_.empty() && seal(true))) && file_.flush(); }

// ---- reading ---------------------------------------------------------------------------------------------------------

StoredReader::StoredReader(int descriptor, uint64_t length, const std::optional<CacheSecret>& secret)
    : file_(descriptor < 0 ? nullptr : fdopen(descriptor, "rb")),
      secret_(secret),
      length_(secret ? plain_bytes(length) : length),
      left_(length_) {}

bool StoredReader::begin() {
  head_.resize(kHead);
  if (std::fread(head_.data(), 1, kHead, file_.get()) != kHead) return false;
  if (std::memcmp(head_.data(), kMagic, sizeof kMagic) != 0) return false;
  key_ = secret_->of_file(salt_of(head_));
  return true;
}

bool StoredReader::next_section() {
  if (left_ == 0) return false;
  const auto size = static_cast<size_t>(std::min<uint64_t>(left_, kSection));
  section_.resize(size);
  taken_ = 0;
  AeadTag tag{};
  const bool there = std::fread(section_.data(), 1, size, file_.get()) == size &&
                     std::fread(tag.data(), 1, tag.size(), file_.get()) == tag.size();
  left_ -= size;
  const AeadNonce nonce = nonce_of(number_++, left_ == 0);
  if (there && aead_open(key_, nonce, head_.data(), head_.size(), section_.data(), size, tag)) return true;
  section_.clear();
  left_ = 0;  // nothing behind it is read either
  return false;
}

bool StoredReader::read(void* out, size_t size) {
  if (!secret_) return size == 0 || std::fread(out, 1, size, file_.get()) == size;
  if (head_.empty() && !begin()) return false;
  uint8_t* next = static_cast<uint8_t*>(out);
  while (size > 0) {
    if (taken_ == section_.size() && !next_section()) return false;
    const size_t now = std::min(size, section_.size() - taken_);
    std::memcpy(next, section_.data() + taken_, now);
    taken_ += now;
    next += now;
    size -= now;
  }
  return true;
}

}  // namespace zse
