// SPDX-License-Identifier: Apache-2.0
// CLI11 takes longer to compile than a verb; compiled once for the cli room.
#pragma once
#include <CLI/CLI.hpp>

#include "pch.h"
