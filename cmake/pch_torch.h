// SPDX-License-Identifier: Apache-2.0
// libtorch's headers dominate compile time; compiled once for the train room.
#pragma once
#include <torch/torch.h>

#include "pch.h"
