// Owns ChaCha20-Poly1305 (RFC 8439) with the extended nonce of XChaCha20 (draft-irtf-cfrg-xchacha): what is sealed can be read by who has the key
// alone, and a changed byte is noticed. Node's own libraries are no choice: Electron's lack OpenSSL's names, and files are written where no
// JavaScript runs. No branch and no address depends on a secret. Pure; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace zse {

using AeadKey = std::array<uint8_t, 32>;
using AeadNonce = std::array<uint8_t, 12>;
using AeadTag = std::array<uint8_t, 16>;

/** Encrypts in place, and says the tag. A nonce seals once with one key. `also`: bytes that are not secret and must be the same at opening. */
AeadTag aead_seal(const AeadKey& key, const AeadNonce& nonce, const uint8_t* also, size_t also_size, uint8_t* text,
                  size_t size);

/** Decrypts in place. False where anything is not as it was sealed: the text is left as it is then. */
bool aead_open(const AeadKey& key, const AeadNonce& nonce, const uint8_t* also, size_t also_size, uint8_t* text, size_t size,
               const AeadTag& tag);

/** HChaCha20: a key of its own for each salt. Salts may be drawn at random, which nonces of 12 bytes are too short for. */
AeadKey derive_key(const AeadKey& key, const std::array<uint8_t, 16>& salt);

}  // namespace zse
