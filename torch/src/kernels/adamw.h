// What both ways to update a list of parameters by AdamW (adamw.cc, fused-adamw.cc) ask of their tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

// Parameters, gradients and moments at one place belong together.
struct AdamWLists {
  at::TensorList parameters, gradients, firstMoments, secondMoments;

  std::array<at::Tensor, 4> at(size_t i) const {
    return {parameters[i], gradients[i], firstMoments[i], secondMoments[i]};
  }

  // Throws unless the lists are of one length, and each parameter's tensors of one shape, dtype and device, none of them
  // recorded.
  void check() const;

  // As every in-place operator does, so that a backward pass that saved the old values says so.
  void bumpVersions() const;
};

// A dimension of one has no meaningful stride.
bool isOfOneLayout(const at::Tensor& a, const at::Tensor& b);
