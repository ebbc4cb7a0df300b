// SPDX-License-Identifier: Apache-2.0
// A fuzz target is one file: LLVMFuzzerTestOneInput and the inputs to start from. It is built twice: in every
// build as a plain program that the suite runs over the corpus and simple mutations of it, and with
// -DFRF_FUZZ=ON and clang as a libFuzzer program under address and undefined-behaviour sanitizers.
//
//   bin/frf_corpus_image                    runs the corpus and its mutations
//   bin/frf_corpus_image --write DIR        writes the corpus, for libFuzzer
//   bin/frf_corpus_image crash-1234         runs one file
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace frf::test {

std::vector<std::string> FuzzCorpus();

}  // namespace frf::test
