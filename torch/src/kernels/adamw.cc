// AdamW on the processor, a list of parameters in one pass over memory: mobileclip::adamw_.
//
// libtorch's foreach operators take eight passes, and its own fused operator came after 1.13. The order of operations is
// that of PyTorch's AdamW (torch/optim/adamw.py).
//
//   g = scale * g
//   p = p * (1 - rate * decay)
//   m = beta1 * m + (1 - beta1) * g        v = beta2 * v + (1 - beta2) * g^2
//   p = p - rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
// p parameter, g gradient, which stays as it is, m and v moments, t updates including this one.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "adamw.h"
#include "vectors.h"

namespace {

template <typename T>
struct Coefficients {
  T scale, kept, beta1, rest1, beta2, rest2, correction, eps, rate;

  Coefficients(double learningRate, double beta1, double beta2, double eps, double weightDecay, int64_t updates,
               double gradientScale)
      : scale(gradientScale), kept(1 - learningRate * weightDecay), beta1(beta1), rest1(1 - beta1), beta2(beta2),
        rest2(1 - beta2), correction(std::sqrt(1 - std::pow(beta2, updates))), eps(eps),
        rate(learningRate / (1 - std::pow(beta1, updates))) {}
};

// Those of one tensor, in the order of its memory.
template <typename T>
struct Values {
  T* parameter;
  const T* gradient;
  T *first, *second;
};

// CMakeLists.txt lets the compiler make this a loop over vectors, without fused multiply-adds: then every processor and
// every number of threads gives the same values.
template <typename T>
INLINE void updateOf(const Values<T>& values, int64_t begin, int64_t end, const Coefficients<T> c) {
  T* __restrict p = values.parameter;
  const T* __restrict g = values.gradient;
  T* __restrict m = values.first;
  T* __restrict v = values.second;
  for (int64_t i = begin; i < end; ++i) {
    const T gradient = g[i] * c.scale;
    m[i] = m[i] * c.beta1 + c.rest1 * gradient;
    v[i] = v[i] * c.beta2 + c.rest2 * gradient * gradient;
    p[i] = p[i] * c.kept - c.rate * m[i] / (std::sqrt(v[i]) / c.correction + c.eps);
  }
}

#define UPDATE(T)                                                                                                \
  FOR_EVERY_PROCESSOR void update(const Values<T>& values, int64_t begin, int64_t end, const Coefficients<T>& c) { \
    updateOf<T>(values, begin, end, c);                                                                          \
  }
UPDATE(float)
UPDATE(double)

bool isOurs(const AdamWLists& lists) {
  for (size_t i = 0; i < lists.parameters.size(); ++i) {
    for (const at::Tensor& tensor : lists.at(i)) {
      const at::ScalarType dtype = tensor.scalar_type();
      const bool plain = tensor.is_cpu() && tensor.layout() == at::kStrided && !tensor.is_neg();
      if (!plain || (dtype != at::kFloat && dtype != at::kDouble) || dtype != lists.parameters[0].scalar_type() ||
          !tensor.is_non_overlapping_and_dense() || !isOfOneLayout(tensor, lists.parameters[i]))
        return false;
    }
  }
  return true;
}

// One parallel region for all values of all tensors, whatever their sizes.
template <typename T>
void updateAll(const AdamWLists& lists, const Coefficients<T>& coefficients) {
  std::vector<Values<T>> values;
  std::vector<int64_t> starts{0};  // and the end
  for (size_t i = 0; i < lists.parameters.size(); ++i) {
    const auto [p, g, m, v] = lists.at(i);
    values.push_back({p.template data_ptr<T>(), g.template data_ptr<T>(), m.template data_ptr<T>(),
                      v.template data_ptr<T>()});
    starts.push_back(starts.back() + p.numel());
  }
  constexpr int64_t grain = 1 << 15;
  at::parallel_for(0, starts.back(), grain, [&](int64_t begin, int64_t end) {
    size_t i = std::upper_bound(starts.begin(), starts.end(), begin) - starts.begin() - 1;
    for (; begin < end; ++i) {
      const int64_t stop = std::min(end, starts[i + 1]);
      update(values[i], begin - starts[i], stop - starts[i], coefficients);
      begin = stop;
    }
  });
}

// False, and nothing changed, where the tensors are not all of float32, or all of float64, on the processor, each dense
// and in one layout with its gradient and moments.
bool adamW(at::TensorList parameters, at::TensorList gradients, at::TensorList firstMoments,
           at::TensorList secondMoments, double learningRate, double beta1, double beta2, double eps,
           double weightDecay, int64_t updates, double gradientScale) {
  const AdamWLists lists{parameters, gradients, firstMoments, secondMoments};
  TORCH_CHECK(updates > 0, "expected updates from 1, got ", updates);
  lists.check();
  if (!isOurs(lists)) return false;
  if (parameters.empty()) return true;
  inDtype(parameters[0].scalar_type(), [&](auto zero) {
    updateAll<decltype(zero)>(lists, {learningRate, beta1, beta2, eps, weightDecay, updates, gradientScale});
  });
  lists.bumpVersions();
  return true;
}

TORCH_LIBRARY_FRAGMENT(mobileclip, library) {
  library.def(
      "adamw_(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] first_moments, Tensor(c!)[] second_moments, "
      "float learning_rate, float beta1, float beta2, float eps, float weight_decay, int updates, float gradient_scale) "
      "-> bool",
      adamW);
}

}  // namespace
