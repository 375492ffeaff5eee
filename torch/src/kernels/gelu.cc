// The exact GELU, x * Phi(x), with its gradient on the processor: mobileclip::gelu.
//
// libtorch 1.13 evaluates erf and exp one after the other, each for itself. Here both come from one exponential:
//
//   Phi(-|x|) = exp(-z^2) * erfcx(z) / 2 with z = |x| / sqrt(2)
//   d/dx (x * Phi(x)) = Phi(x) + x * exp(-z^2) / sqrt(2 pi)
//
// erfcx(z) / 2 is a polynomial in t = 1 / (1 + 0.55 z), fitted for its largest relative error, 1e-8. Written this way
// the values are also right far below zero, where 1 + erf has no digits left.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "exponential.h"
#include "vectors.h"

namespace {

constexpr double inverseRootOfTwo = 0.70710678118654752, inverseRootOfTwoPi = 0.39894228040143268;

typedef float Vector __attribute__((vector_size(64)));
typedef int32_t Integers __attribute__((vector_size(64)));
constexpr int64_t lanes = sizeof(Vector) / sizeof(float);

// Phi(x), and exp(-x^2 / 2) in `bell`.
INLINE void normal(const Vector& x, Vector& phi, Vector& bell) {
  const Vector size = x < 0.f ? -x : x;
  bell = x * x * -0.5f;
  exponential<Vector, Integers>(bell);
  const Vector t = 1.f / (1.f + size * static_cast<float>(0.55 * inverseRootOfTwo));
  Vector sum = t * 0.0281095169f - 0.163740192f;
  sum = sum * t + 0.380733051f;
  sum = sum * t - 0.414739007f;
  sum = sum * t + 0.17303547f;
  sum = sum * t - 0.0432393471f;
  sum = sum * t + 0.0997386423f;
  sum = sum * t + 0.129647126f;
  sum = sum * t + 0.155307663f;
  sum = sum * t + 0.155147071f;
  const Vector below = bell * sum * t;
  phi = x < 0.f ? below : 1.f - below;
}

INLINE Vector valueOf(const Vector& x) {
  Vector phi, bell;
  normal(x, phi, bell);
  return x * phi;
}

INLINE Vector slopeOf(const Vector& x) {
  Vector phi, bell;
  normal(x, phi, bell);
  return phi + x * bell * static_cast<float>(inverseRootOfTwoPi);
}

// What is computed of a value does not depend on where in the memory it is: the last few are computed as a vector, too.
template <typename Function>
INLINE void forAll(const float* x, const float* gradient, float* y, int64_t count, Function function) {
  for (int64_t i = 0; i < count; i += lanes) {
    const size_t size = std::min(lanes, count - i) * sizeof(float);
    Vector a = {}, g = {};
    if (size == sizeof(Vector)) {
      std::memcpy(&a, x + i, sizeof a);
      if (gradient) std::memcpy(&g, gradient + i, sizeof g);
      const Vector result = function(a, g);
      std::memcpy(y + i, &result, sizeof result);
    } else {
      std::memcpy(&a, x + i, size);
      if (gradient) std::memcpy(&g, gradient + i, size);
      const Vector result = function(a, g);
      std::memcpy(y + i, &result, size);
    }
  }
}

FOR_EVERY_PROCESSOR void forwardOf(const float* x, float* y, int64_t count) {
  forAll(x, nullptr, y, count, [](const Vector& a, const Vector&) INLINED { return valueOf(a); });
}

FOR_EVERY_PROCESSOR void backwardOf(const float* x, const float* gradient, float* y, int64_t count) {
  forAll(x, gradient, y, count, [](const Vector& a, const Vector& g) INLINED { return g * slopeOf(a); });
}

double phiOf(double x) { return std::erfc(-x * inverseRootOfTwo) / 2; }

void forwardOf(const double* x, double* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] * phiOf(x[i]);
}

void backwardOf(const double* x, const double* gradient, double* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    y[i] = gradient[i] * (phiOf(x[i]) + x[i] * std::exp(-x[i] * x[i] / 2) * inverseRootOfTwoPi);
}

// Calls work(first, count, zero of the dtype) for pieces of all values.
template <typename Work>
void inPieces(const at::Tensor& x, Work work) {
  constexpr int64_t grain = 1 << 14;
  inDtype(x.scalar_type(), [&](auto zero) {
    at::parallel_for(0, x.numel(), grain, [&](int64_t begin, int64_t end) { work(begin, end - begin, zero); });
  });
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Gelu : torch::autograd::Function<Gelu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input) {
    TORCH_CHECK(input.device().is_cpu() && (input.scalar_type() == at::kFloat || input.scalar_type() == at::kDouble),
                "gelu: expected float32 or float64 on the processor, found ", input.scalar_type(), " on ",
                input.device());
    const at::Tensor x = input.contiguous(), y = at::empty_like(x);
    inPieces(x, [&](int64_t first, int64_t count, auto zero) {
      using T = decltype(zero);
      forwardOf(x.data_ptr<T>() + first, y.data_ptr<T>() + first, count);
    });
    context->save_for_backward({x});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "gelu: second derivatives are not implemented");
    const at::Tensor x = context->get_saved_variables()[0], gradient = gradients[0].contiguous();
    const at::Tensor y = at::empty_like(x);
    inPieces(x, [&](int64_t first, int64_t count, auto zero) {
      using T = decltype(zero);
      backwardOf(x.data_ptr<T>() + first, gradient.data_ptr<T>() + first, y.data_ptr<T>() + first, count);
    });
    return {y};
  }
};

at::Tensor gelu(const at::Tensor& x) { return Gelu::apply(x); }

TORCH_LIBRARY_FRAGMENT(mobileclip, library) { library.def("gelu(Tensor x) -> Tensor", gelu); }

}  // namespace
