// Owns writing a plan of a .zse file of generation 2: header, section table, CONFIG, TOKENIZER, weights, index, in the file's order, each
// tensor read, quantized and written a few rows at a time. One thread.
#pragma once

#include <functional>

#include "base/file_map.h"
#include "base/output_file.h"
#include "zse_plan.h"

namespace zse {

/** Told the fraction done; false ends the conversion. */
using ConvertProgress = std::function<bool(double)>;

/**
 * Writes everything but the commit. `source` is the file that the plan points into.
 * @returns false when `progress` ended it
 */
bool write_zse(const ZsePlan& plan, const FileMap& source, OutputFile& out, const ConvertProgress& progress);

}  // namespace zse
