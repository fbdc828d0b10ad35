// SPDX-License-Identifier: Apache-2.0
//
// What `aio inspect` says about a model file: for people and for programs.
// Names and texts from the file are shown without control characters, which a
// hostile file could aim at the terminal.
//
// Thread safety: pure functions.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "gguf/gguf.h"

namespace aio::cli {

// A page of text: what the model is, its sizes by type, its hyperparameters
// and tokenizer; `tensors` appends one line for each tensor.
std::string DescribeModel(const gguf::File& file, bool tensors);

// All of the file but the tensors' bytes. An array of more than 16 items is
// {"length": n, "first": [16 items]} unless `full`. Numbers that JSON lacks
// (infinities) are null; bytes that are no UTF-8 are U+FFFD.
boost::json::object ModelToJson(const gguf::File& file, bool full);

}  // namespace aio::cli
