// Owns what llama.cpp and ggml have to say: nothing goes to the terminal unless ZSE_LOG asks for it, and the last errors of a
// thread can be read back as the reason of a failure. Any thread.
#pragma once

#include <string>

namespace zse {

/** Takes over llama.cpp's log callbacks for the process; may be called often. ZSE_LOG=debug|info|warn|error shows them. */
void install_log();

/** What the logger does with a line of llama.cpp's or of a GPU library's; `level` is a ggml_log_level. */
void log_line(int level, const char* text);

/** Forgets the errors collected on this thread. */
void clear_logged_errors();

/** The error lines logged on this thread since the last clear, joined, without llama.cpp's function-name prefixes. */
std::string logged_errors();

}  // namespace zse
