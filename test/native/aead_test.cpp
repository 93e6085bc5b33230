// ChaCha20-Poly1305: the examples of RFC 8439 and of XChaCha20's draft, tags that OpenSSL makes of other lengths, and that no change is overlooked.
#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "base/aead.h"
#include "check.h"

using namespace zse;

namespace {

std::vector<uint8_t> unhex(const std::string& text) {
  std::vector<uint8_t> out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return out;
}

template <size_t Size>
std::array<uint8_t, Size> array_of(const std::string& text) {
  const std::vector<uint8_t> bytes = unhex(text);
  REQUIRE(bytes.size() == Size);
  std::array<uint8_t, Size> out{};
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

const char* const kKey = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
const char* const kNonce = "070000004041424344454647";
const char* const kAlso = "50515253c0c1c2c3c4c5c6c7";

}  // namespace

TEST("a text is sealed as in RFC 8439, 2.8.2, and opened again") {
  const auto key = array_of<32>(kKey);
  const auto nonce = array_of<12>(kNonce);
  const std::vector<uint8_t> also = unhex(kAlso);
  const std::string text =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
  std::vector<uint8_t> bytes(text.begin(), text.end());
  const AeadTag tag = aead_seal(key, nonce, also.data(), also.size(), bytes.data(), bytes.size());
  CHECK(bytes == unhex("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
                       "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
                       "3ff4def08e4b7a9de576d26586cec64b6116"));
  CHECK(tag == array_of<16>("1ae10b594f09e26a7e902ecbd0600691"));
  CHECK(aead_open(key, nonce, also.data(), also.size(), bytes.data(), bytes.size(), tag));
  CHECK(std::string(bytes.begin(), bytes.end()) == text);
}

TEST("a text is opened as in RFC 8439, A.5") {
  const auto key = array_of<32>("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
  std::vector<uint8_t> bytes = unhex(
      "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03"
      "b7f"
      "355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c0"
      "2b0"
      "f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072"
      "b04"
      "b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987"
      "130"
      "305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709b");
  const std::vector<uint8_t> also = unhex("f33388860000000000004e91");
  const AeadTag tag = array_of<16>("eead9d67890cbb22392336fea1851f38");
  REQUIRE(
      aead_open(key, array_of<12>("000000000102030405060708"), also.data(), also.size(), bytes.data(), bytes.size(), tag));
  CHECK(std::string(bytes.begin(), bytes.begin() + 46) == "Internet-Drafts are draft documents valid for ");
}

TEST("texts of every length have the tags that OpenSSL makes") {
  const auto key = array_of<32>(kKey);
  const auto nonce = array_of<12>(kNonce);
  const std::vector<uint8_t> also = unhex(kAlso);
  const struct {
    size_t size;
    const char* tag;
  } made[] = {
      {0, "a0784d7a4716f3feb4f64e7f4b39bf04"},     {1, "da76cdbcd970568d2f26b33f7468365c"},
      {15, "0af31573d1510b0597843ab694efbd4b"},    {16, "4604ab1bd894d594fccb65eaa81713ed"},
      {17, "5fbb82490db5c59f24a31812480c84f6"},    {63, "6d490970f33257de2898486ac57fcb68"},
      {64, "77e3a70fa39f91dbca42c5c12c5c3056"},    {65, "bc8b16a1e7a2058117375d659bf2f32c"},
      {511, "5aa317a6cd36711e2ec19cfd7b655600"},   {512, "c0497143416a8999688493d6bc725f26"},
      {513, "338e803acfe89b7049b92263961f997d"},   {1025, "648b5eb1271de36c7218e3047aa1bffb"},
      {65536, "4e555aeb5aa5e04d90017c35cc4d972c"},
  };
  for (const auto& one : made) {
    std::vector<uint8_t> bytes(one.size), before;
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(i * 7 + one.size);
    before = bytes;
    const AeadTag tag = aead_seal(key, nonce, also.data(), one.size % 13, bytes.data(), bytes.size());
    CHECK(tag == array_of<16>(one.tag));
    CHECK(aead_open(key, nonce, also.data(), one.size % 13, bytes.data(), bytes.size(), tag));
    CHECK(bytes == before);
  }
}

TEST("a key for a salt is as in XChaCha20's draft, 2.2.1") {
  const auto key = array_of<32>("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  CHECK(derive_key(key, array_of<16>("000000090000004a0000000031415927")) ==
        array_of<32>("82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"));
}

TEST("a changed byte is noticed wherever it is, and nothing is decrypted then (random)") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 300; round++) {
    AeadKey key{};
    AeadNonce nonce{};
    for (uint8_t& byte : key) byte = static_cast<uint8_t>(random());
    for (uint8_t& byte : nonce) byte = static_cast<uint8_t>(random());
    std::vector<uint8_t> also(random() % 40 + 1), bytes(random() % 700 + 1);
    for (uint8_t& byte : also) byte = static_cast<uint8_t>(random());
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const std::vector<uint8_t> before = bytes;
    AeadTag tag = aead_seal(key, nonce, also.data(), also.size(), bytes.data(), bytes.size());
    std::vector<uint8_t> sealed = bytes;
    const auto change = static_cast<uint8_t>(1 << random() % 8);
    uint8_t* changed[] = {&key[random() % key.size()], &nonce[random() % nonce.size()], &also[random() % also.size()],
                          &bytes[random() % bytes.size()], &tag[random() % tag.size()]};
    for (uint8_t* byte : changed) {
      *byte ^= change;
      const std::vector<uint8_t> given = bytes;
      CHECK(!aead_open(key, nonce, also.data(), also.size(), bytes.data(), bytes.size(), tag));
      CHECK(bytes == given);
      *byte ^= change;
    }
    CHECK(aead_open(key, nonce, also.data(), also.size(), bytes.data(), bytes.size(), tag));
    CHECK(bytes == before);
  }
}
