// Owns Unicode's normalization form C (UAX #15), which some tokenizers want their text in. Linear in the text, whatever it is; any thread.
// Knows native/base and the tables beside it.
#pragma once

#include <string>
#include <string_view>

namespace zse {

/** The Unicode version of the tables, as in "17.0". */
extern const char* const kNfcUnicodeVersion;

/**
 * The NFC form of a UTF-8 text: what `normalize("NFC")` gives in JavaScript. Bytes that are no UTF-8 stay as they are, and nothing
 * composes across them. Under a bound (base/work_bound.h) it calls work_step() as it goes, so it may throw WorkStopped.
 */
std::string normalize_nfc(std::string_view utf8);

}  // namespace zse
