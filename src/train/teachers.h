// SPDX-License-Identifier: Apache-2.0
// Trained networks whose class probabilities are a second target beside the labels: distillation (Hinton et
// al. 2015). Of several teachers the mean of their probabilities counts.
//
//   Teachers teachers({ReadTeacher("runs/first")}, info.input, device);
//   torch::Tensor targets = teachers.Probabilities(images, precision);
//   loss(module.ForwardForLoss(images), labels, targets);              // losses.h
//
// Subtle: teachers see the same augmented picture, padding included, as they would in use: statistics of
// batch norm as trained, no dropout, no auxiliary heads, no gradients.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "base/model_info.h"
#include "train/device.h"
#include "train/module.h"

namespace frf {

class Distributed;

struct Teacher {
  std::string name;  // of the shipped weights, file or run folder that it was, without path and ending
  ModelInfo info;
  Graph graph;  // for inference, with weights
};

// A run folder, or a checkpoint that says what network it holds (SaveTeacher's, best.ckpt, what `frf-train
// weights` writes). Throws kUsage for 8-bit networks and ONNX files, kCorruptFile where weights do not fit;
// `option`: which names the file, for messages.
Teacher ReadTeacher(const std::string& path, const std::string& option = "--teacher");
// kUsage where the teacher knows other classes than the student.
void CheckClasses(const Teacher& teacher, const ModelInfo& student);
void SaveTeacher(const std::string& path, const Teacher& teacher);

class Teachers {
 public:
  // At least one, all with the student's classes (kUsage otherwise). `student`: what images were normalised
  // by; teachers that want other means and deviations get them. Not null `distributed`: only rank 0 has
  // teachers to give, the others pass none and get rank 0's.
  Teachers(std::vector<Teacher> teachers, const ModelInfo& student, torch::Device device,
           Distributed* distributed = nullptr);

  // N x classes x h x w in float32, h x w as the first teacher's scores before their upsampling; sums over
  // classes are 1. `images`: float32 N x 3 x H x W as the student gets them.
  torch::Tensor Probabilities(const torch::Tensor& images, Precision precision) const;

 private:
  struct Net {
    std::unique_ptr<GraphModule> module;
    std::string scores;
    torch::Tensor scale, shift;  // 1 x 3 x 1 x 1; undefined: the student's normalisation is its own
  };
  std::vector<Net> nets_;
  torch::Device device_;
};

}  // namespace frf
