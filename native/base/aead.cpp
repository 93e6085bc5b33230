#include "aead.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace zse {

namespace {

constexpr uint32_t kConstants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};  // "expand 32-byte k"
constexpr size_t kBlock = 64;

// Byte by byte, so that it is the same on every processor; compilers make one load of it.
uint32_t load32(const uint8_t* at) {
  return uint32_t{at[0]} | uint32_t{at[1]} << 8 | uint32_t{at[2]} << 16 | uint32_t{at[3]} << 24;
}
void store32(uint8_t* at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = static_cast<uint8_t>(value >> (8 * i));
}
void store64(uint8_t* at, uint64_t value) {
  for (int i = 0; i < 8; i++) at[i] = static_cast<uint8_t>(value >> (8 * i));
}

// ---- ChaCha20 --------------------------------------------------------------------------------------------------------

/** Blocks that are computed beside each other: compilers make vectors of them. */
constexpr size_t kLanes = 8;
using Lanes = uint32_t[kLanes];

template <int Bits>
void mix(Lanes& sum, const Lanes& add, Lanes& turn) {
  for (size_t i = 0; i < kLanes; i++) {
    sum[i] += add[i];
    const uint32_t value = turn[i] ^ sum[i];
    turn[i] = value << Bits | value >> (32 - Bits);
  }
}

void quarter(Lanes& a, Lanes& b, Lanes& c, Lanes& d) {
  mix<16>(a, b, d);
  mix<12>(c, d, b);
  mix<8>(a, b, d);
  mix<7>(c, d, b);
}

void twenty_rounds(Lanes (&x)[16]) {
  for (int i = 0; i < 10; i++) {
    for (int j = 0; j < 4; j++) quarter(x[j], x[4 + j], x[8 + j], x[12 + j]);
    for (int j = 0; j < 4; j++) quarter(x[j], x[4 + (j + 1) % 4], x[8 + (j + 2) % 4], x[12 + (j + 3) % 4]);
  }
}

struct State {
  uint32_t words[16];

  State(const AeadKey& key, const uint8_t* last_four_words) {
    for (int i = 0; i < 4; i++) words[i] = kConstants[i];
    for (int i = 0; i < 8; i++) words[4 + i] = load32(&key[static_cast<size_t>(4 * i)]);
    for (int i = 0; i < 4; i++) words[12 + i] = load32(last_four_words + 4 * i);
  }
  State(const AeadKey& key, uint32_t counter, const AeadNonce& nonce) : State(key, joined(counter, nonce).data()) {}

 private:
  static std::array<uint8_t, 16> joined(uint32_t counter, const AeadNonce& nonce) {
    std::array<uint8_t, 16> out{};
    store32(out.data(), counter);
    std::copy(nonce.begin(), nonce.end(), out.begin() + 4);
    return out;
  }
};

/** Combines the text with the stream of this state, which goes on. */
void chacha(State& state, uint8_t* text, size_t size) {
  while (size > 0) {
    Lanes x[16];
    for (size_t word = 0; word < 16; word++) {
      for (size_t i = 0; i < kLanes; i++) x[word][i] = state.words[word] + (word == 12 ? static_cast<uint32_t>(i) : 0);
    }
    twenty_rounds(x);
    uint8_t stream[kLanes * kBlock];
    for (size_t i = 0; i < kLanes; i++) {
      for (size_t word = 0; word < 16; word++) {
        const uint32_t counter = word == 12 ? static_cast<uint32_t>(i) : 0;
        store32(stream + i * kBlock + word * 4, x[word][i] + state.words[word] + counter);
      }
    }
    const size_t now = std::min(size, sizeof stream);
    for (size_t i = 0; i < now; i++) text[i] ^= stream[i];
    state.words[12] += kLanes;
    text += now;
    size -= now;
  }
}

// ---- Poly1305: numbers of 130 bits in five parts of 26 -----------------------------------------------------------------

class Poly1305 {
 public:
  explicit Poly1305(const uint8_t* key) {
    r_[0] = load32(key) & 0x3ffffff;
    r_[1] = load32(key + 3) >> 2 & 0x3ffff03;
    r_[2] = load32(key + 6) >> 4 & 0x3ffc0ff;
    r_[3] = load32(key + 9) >> 6 & 0x3f03fff;
    r_[4] = load32(key + 12) >> 8 & 0x00fffff;
    for (int i = 0; i < 4; i++) pad_[i] = load32(key + 16 + 4 * i);
  }

  /** Text that is filled up with zeros to whole pieces of 16 bytes, as the construction wants it. */
  void add_padded(const uint8_t* text, size_t size) {
    for (; size >= kPiece; text += kPiece, size -= kPiece) add(text);
    if (size == 0) return;
    uint8_t last[kPiece] = {};
    std::memcpy(last, text, size);
    add(last);
  }

  void add_sizes(uint64_t also, uint64_t text) {
    uint8_t sizes[kPiece];
    store64(sizes, also);
    store64(sizes + 8, text);
    add(sizes);
  }

  AeadTag tag() {
    carry();
    carry();
    // h - (2^130 - 5), if that is not below zero.
    uint32_t reduced[5];
    uint32_t over = 5;
    for (int i = 0; i < 5; i++) {
      reduced[i] = h_[i] + over;
      over = reduced[i] >> 26;
      reduced[i] &= kPart;
    }
    const uint32_t take = 0 - over;  // all ones, or zero
    for (int i = 0; i < 5; i++) h_[i] = (h_[i] & ~take) | (reduced[i] & take);
    const uint32_t words[4] = {h_[0] | h_[1] << 26, h_[1] >> 6 | h_[2] << 20, h_[2] >> 12 | h_[3] << 14,
                               h_[3] >> 18 | h_[4] << 8};
    AeadTag out{};
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++) {
      sum += uint64_t{words[i]} + pad_[i];
      store32(&out[static_cast<size_t>(4 * i)], static_cast<uint32_t>(sum));
      sum >>= 32;
    }
    return out;
  }

 private:
  static constexpr size_t kPiece = 16;
  static constexpr uint32_t kPart = 0x3ffffff;

  void add(const uint8_t* piece) {
    h_[0] += load32(piece) & kPart;
    h_[1] += load32(piece + 3) >> 2 & kPart;
    h_[2] += load32(piece + 6) >> 4 & kPart;
    h_[3] += load32(piece + 9) >> 6;
    h_[4] += load32(piece + 12) >> 8 | 1u << 24;
    // Times r; what is beyond 2^130 comes back five times.
    uint64_t product[5];
    for (int i = 0; i < 5; i++) {
      product[i] = 0;
      for (int j = 0; j < 5; j++) {
        const uint64_t factor = j <= i ? r_[i - j] : uint64_t{5} * r_[5 + i - j];
        product[i] += h_[j] * factor;
      }
    }
    uint64_t over = 0;
    for (int i = 0; i < 5; i++) {
      product[i] += over;
      over = product[i] >> 26;
      h_[i] = static_cast<uint32_t>(product[i]) & kPart;
    }
    over = h_[0] + over * 5;
    h_[0] = static_cast<uint32_t>(over) & kPart;
    h_[1] += static_cast<uint32_t>(over >> 26);
  }

  void carry() {
    uint32_t over = 0;
    for (uint32_t& part : h_) {
      part += over;
      over = part >> 26;
      part &= kPart;
    }
    h_[0] += over * 5;
  }

  uint32_t r_[5], h_[5] = {}, pad_[4];
};

AeadTag tag_of(const AeadKey& key, const AeadNonce& nonce, const uint8_t* also, size_t also_size, const uint8_t* text,
               size_t size) {
  uint8_t once[kBlock] = {};
  State state(key, 0, nonce);
  chacha(state, once, sizeof once);
  Poly1305 poly(once);
  poly.add_padded(also, also_size);
  poly.add_padded(text, size);
  poly.add_sizes(also_size, size);
  return poly.tag();
}

}  // namespace

AeadTag aead_seal(const AeadKey& key, const AeadNonce& nonce, const uint8_t* also, size_t also_size, uint8_t* text,
                  size_t size) {
  State state(key, 1, nonce);
  chacha(state, text, size);
  return tag_of(key, nonce, also, also_size, text, size);
}

bool aead_open(const AeadKey& key, const AeadNonce& nonce, const uint8_t* also, size_t also_size, uint8_t* text, size_t size,
               const AeadTag& tag) {
  const AeadTag expected = tag_of(key, nonce, also, also_size, text, size);
  uint8_t differs = 0;
  for (size_t i = 0; i < tag.size(); i++) differs |= static_cast<uint8_t>(tag[i] ^ expected[i]);
  if (differs != 0) return false;
  State state(key, 1, nonce);
  chacha(state, text, size);
  return true;
}

AeadKey derive_key(const AeadKey& key, const std::array<uint8_t, 16>& salt) {
  const State state(key, salt.data());
  Lanes x[16];
  for (size_t word = 0; word < 16; word++) std::fill(std::begin(x[word]), std::end(x[word]), state.words[word]);
  twenty_rounds(x);
  AeadKey out{};
  for (size_t i = 0; i < 4; i++) {
    store32(&out[4 * i], x[i][0]);
    store32(&out[16 + 4 * i], x[12 + i][0]);
  }
  return out;
}

}  // namespace zse
