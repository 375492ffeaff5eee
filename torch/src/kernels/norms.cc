// Batch norms of one input, weighted and summed, on the processor: mobileclip::norm_sum.
//
// A training-form block of the MobileOne kind normalises its input several times: as it is, and times a factor per
// channel (the 1x1 depthwise branch). Mean and variance of all follow from those of the input, and the sum is one
// factor and one shift per channel, so a channel is read once from memory, and stays in the cache for what comes then.
//
//   y = base + factor * sum_k sign_k * (weight_k * scale_k * (x - mean) / sqrt(scale_k^2 * variance + eps) + bias_k)
//
// N batch, C channels, P pixels of a plane, K norms. Below, gain_k = factor * sign_k * weight_k.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>

#include "channel-passes.h"
#include "vectors.h"

namespace {

#define PASSES(T)                                                                                                     \
  FOR_EVERY_PROCESSOR Moments moments(const Planes& planes, const T* x) { return momentsOf<T>(planes, x); }           \
  FOR_EVERY_PROCESSOR void write(const Planes& planes, const T* left, const T* right, T* y, T a, T b, T shift, T c) { \
    combine<T>(planes, left, right, y, a, b, shift, c);                                                               \
  }                                                                                                                   \
  FOR_EVERY_PROCESSOR std::pair<double, double> sums(const Planes& planes, const T* gradient, const T* x, T mean) {   \
    return gradientSums<T>(planes, gradient, x, mean);                                                                \
  }
PASSES(float)
PASSES(double)

// Parameters of all norms, contiguous, [C] each.
struct Norms {
  std::vector<at::Tensor> weights, biases, scales;
  std::vector<int64_t> scaled, signs;  // scaled: which of the scales a norm has, or -1
  at::Tensor factor;                   // undefined: 1
  double eps;

  size_t count() const { return weights.size(); }
};

template <typename T>
T* at(const at::Tensor& tensor, int64_t offset) {
  return tensor.defined() ? tensor.data_ptr<T>() + offset : nullptr;
}

// The norms of channel `c`.
template <typename T>
struct Channel {
  const Norms& norms;
  int64_t c;

  double factor() const { return norms.factor.defined() ? *at<T>(norms.factor, c) : 1; }
  double sign(size_t k) const { return static_cast<double>(norms.signs[k]); }
  double weight(size_t k) const { return *at<T>(norms.weights[k], c); }
  double bias(size_t k) const { return *at<T>(norms.biases[k], c); }
  double scale(size_t k) const { return norms.scaled[k] < 0 ? 1 : *at<T>(norms.scales[norms.scaled[k]], c); }
  double gain(size_t k) const { return factor() * sign(k) * weight(k); }
  double inverse(size_t k, double variance) const { return 1 / std::sqrt(scale(k) * scale(k) * variance + norms.eps); }

  double slope(double variance) const {
    double sum = 0;
    for (size_t k = 0; k < norms.count(); ++k) sum += gain(k) * scale(k) * inverse(k, variance);
    return sum;
  }

  double shift() const {
    double sum = 0;
    for (size_t k = 0; k < norms.count(); ++k) sum += sign(k) * bias(k);
    return sum * factor();
  }
};

Planes planesOf(const at::Tensor& x) {
  const int64_t size = x.numel() / (x.size(0) * x.size(1));
  return {x.size(0), size, x.size(1) * size};
}

// A channel is one thread's: the same bits for every number of threads.
template <typename Work>
void forEveryChannel(const at::Tensor& x, Work work) {
  at::parallel_for(0, x.size(1), 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) inDtype(x.scalar_type(), [&](auto zero) { work(c, zero); });
  });
}

// Gradients of the parameters, as `Norms` has them.
struct Gradients {
  std::vector<at::Tensor> weights, biases, scales;
  at::Tensor factor;

  explicit Gradients(const Norms& norms) {
    for (const at::Tensor& each : norms.weights) weights.push_back(at::empty_like(each));
    for (const at::Tensor& each : norms.biases) biases.push_back(at::empty_like(each));
    for (const at::Tensor& each : norms.scales) scales.push_back(at::empty_like(each));
    if (norms.factor.defined()) factor = at::empty_like(norms.factor);
  }
};

// From the sum of the result's gradient and its sum of products with x - mean. Returns the gradient of the variance.
template <typename T>
double parameterGradients(const Channel<T>& channel, double variance, double sum, double dot, const Gradients& out) {
  const Norms& norms = channel.norms;
  const int64_t c = channel.c;
  double ofVariance = 0, ofFactor = 0;
  for (size_t k = 0; k < norms.count(); ++k) {
    const double gain = channel.gain(k), scale = channel.scale(k), inverse = channel.inverse(k, variance);
    const double cubed = inverse * inverse * inverse, direction = channel.factor() * channel.sign(k);
    const double normed = dot * scale * inverse;
    *at<T>(out.weights[k], c) = static_cast<T>(direction * normed);
    *at<T>(out.biases[k], c) = static_cast<T>(direction * sum);
    if (norms.scaled[k] >= 0) *at<T>(out.scales[norms.scaled[k]], c) = static_cast<T>(dot * gain * norms.eps * cubed);
    ofFactor += channel.sign(k) * (channel.weight(k) * normed + channel.bias(k) * sum);
    ofVariance -= dot * gain * scale * scale * scale * cubed / 2;
  }
  if (out.factor.defined()) *at<T>(out.factor, c) = static_cast<T>(ofFactor);
  return ofVariance;
}

std::vector<at::Tensor> contiguous(at::TensorList list) {
  std::vector<at::Tensor> all;
  for (const at::Tensor& each : list) all.push_back(each.contiguous());
  return all;
}

// Running statistics of each norm: mean, variance; empty: not tracked.
struct Running {
  at::TensorList statistics;
  double momentum;
};

// running = (1 - momentum) * running + momentum * batch, whose variance is unbiased
template <typename T>
void track(const Channel<T>& channel, const Moments& moments, const Planes& planes, const Running& running) {
  const double unbiased = moments.variance * (planes.values() / (planes.values() - 1));
  const auto move = [&](const at::Tensor& statistic, double batch) {
    T& value = *at<T>(statistic, channel.c);
    value = static_cast<T>((1 - running.momentum) * value + running.momentum * batch);
  };
  for (size_t k = 0; 2 * k < running.statistics.size(); ++k) {
    const double scale = channel.scale(k);
    move(running.statistics[2 * k], scale * moments.mean);
    move(running.statistics[2 * k + 1], scale * scale * unbiased);
  }
}

void check(const at::Tensor& base, const at::Tensor& x, at::TensorList parameters, const Norms& norms,
           const Running& running) {
  TORCH_CHECK(x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble),
              "the input must be float32 or float64 on the processor");
  TORCH_CHECK(x.dim() >= 2 && x.numel() > 0, "expected an input [N, C, ...] with values");
  const size_t count = norms.count();
  TORCH_CHECK(count > 0 && norms.biases.size() == count && norms.scaled.size() == count &&
                  norms.signs.size() == count &&
                  (running.statistics.empty() || running.statistics.size() == 2 * count),
              "expected a weight, a bias, a place of its scale and a sign for each norm, and two statistics or none");
  for (const int64_t place : norms.scaled)
    TORCH_CHECK(place < static_cast<int64_t>(norms.scales.size()), "there is no scale ", place);
  for (size_t place = 0; place < norms.scales.size(); ++place)
    TORCH_CHECK(std::count(norms.scaled.begin(), norms.scaled.end(), place) == 1, "scale ", place,
                " must be that of one norm");
  TORCH_CHECK(!base.defined() || base.sizes() == x.sizes(), "base and input must be of one shape");
  const auto belongs = [&](const at::Tensor& other) {
    return other.scalar_type() == x.scalar_type() && other.device() == x.device();
  };
  TORCH_CHECK(!base.defined() || belongs(base), "all tensors must have the input's dtype and device");
  for (at::TensorList list : {parameters, running.statistics}) {
    for (const at::Tensor& each : list) {
      TORCH_CHECK(each.numel() == x.size(1), "expected a value for each of the input's ", x.size(1),
                  " channels, got ", each.sizes());
      TORCH_CHECK(belongs(each), "all tensors must have the input's dtype and device");
    }
  }
  for (const at::Tensor& each : running.statistics) TORCH_CHECK(each.is_contiguous(), "statistics must be contiguous");
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// `parameters`: weights, biases, scales, and the factor where there is one.
Norms normsOf(at::TensorList parameters, const std::vector<int64_t>& scaled, const std::vector<int64_t>& signs,
              bool hasFactor, double eps) {
  const size_t count = signs.size(), end = parameters.size() - (hasFactor ? 1 : 0);
  TORCH_CHECK(end >= 2 * count, "expected a weight and a bias for each of ", count, " norms");
  Norms norms{contiguous(parameters.slice(0, count)), contiguous(parameters.slice(count, count)),
              contiguous(parameters.slice(2 * count, end - 2 * count)), scaled, signs, {}, eps};
  if (hasFactor) norms.factor = parameters.back().contiguous();
  return norms;
}

struct NormSum : torch::autograd::Function<NormSum> {
  static at::Tensor forward(AutogradContext* context, const c10::optional<at::Tensor>& given, const at::Tensor& input,
                            at::TensorList parameters, const std::vector<int64_t>& scaled,
                            const std::vector<int64_t>& signs, bool hasFactor, const Running& running, double eps) {
    const at::Tensor base = given.value_or(at::Tensor());
    const Norms norms = normsOf(parameters, scaled, signs, hasFactor, eps);
    check(base, input, parameters, norms, running);
    const at::Tensor x = input.contiguous(), first = base.defined() ? base.contiguous() : base;
    at::Tensor y = at::empty_like(x), mean = at::empty_like(norms.weights[0]), variance = at::empty_like(mean);
    const Planes planes = planesOf(x);
    forEveryChannel(x, [&](int64_t c, auto zero) {
      using T = decltype(zero);
      const int64_t start = c * planes.size;
      const Channel<T> channel{norms, c};
      const Moments found = moments(planes, at<T>(x, start));
      track(channel, found, planes, running);
      *at<T>(mean, c) = static_cast<T>(found.mean);
      *at<T>(variance, c) = static_cast<T>(found.variance);
      write(planes, at<T>(first, start), at<T>(x, start), at<T>(y, start), T(1),
            static_cast<T>(channel.slope(found.variance)), static_cast<T>(found.mean), static_cast<T>(channel.shift()));
    });
    variable_list saved = {x, mean, variance};
    saved.insert(saved.end(), parameters.begin(), parameters.end());
    context->save_for_backward(std::move(saved));
    context->saved_data["scaled"] = scaled;
    context->saved_data["signs"] = signs;
    context->saved_data["factor"] = hasFactor;
    context->saved_data["eps"] = eps;
    context->saved_data["based"] = base.defined();
    context->saved_data["same"] = base.is_same(input);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "norm_sum: second derivatives are not implemented");
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &mean = saved[1], &variance = saved[2], gradient = gradients[0].contiguous();
    const bool same = context->saved_data["same"].toBool(), hasFactor = context->saved_data["factor"].toBool();
    const Norms norms = normsOf(at::TensorList(saved).slice(3), context->saved_data["scaled"].toIntVector(),
                                context->saved_data["signs"].toIntVector(), hasFactor,
                                context->saved_data["eps"].toDouble());
    at::Tensor ofInput = at::empty_like(x);
    const Gradients out(norms);
    const Planes planes = planesOf(x);
    forEveryChannel(x, [&](int64_t c, auto zero) {
      using T = decltype(zero);
      const int64_t start = c * planes.size;
      const Channel<T> channel{norms, c};
      const T shift = *at<T>(mean, c), spread = *at<T>(variance, c);
      const auto [sum, dot] = sums(planes, at<T>(gradient, start), at<T>(x, start), shift);
      const double ofVariance = parameterGradients(channel, spread, sum, dot, out), slope = channel.slope(spread);
      // As the base, the input gets the result's gradient besides.
      write(planes, at<T>(gradient, start), at<T>(x, start), at<T>(ofInput, start),
            static_cast<T>(slope + (same ? 1 : 0)), static_cast<T>(2 * ofVariance / planes.values()), shift,
            static_cast<T>(-slope * sum / planes.values()));
    });
    const bool based = context->saved_data["based"].toBool();
    variable_list all = {same || !based ? at::Tensor() : gradients[0], ofInput};
    for (const auto* list : {&out.weights, &out.biases, &out.scales}) all.insert(all.end(), list->begin(), list->end());
    if (hasFactor) all.push_back(out.factor);
    // What is not a tensor: scaled, signs, whether there is a factor, running, eps.
    all.resize(all.size() + 5);
    return all;
  }
};

// base as in the formula, [N, C, ...], or none; x [N, C, ...]; all others C values. scaled: for each norm the place of
// its scale in `scales`, or -1. running: mean and variance of each norm, changed, or none.
at::Tensor normSum(const c10::optional<at::Tensor>& base, const at::Tensor& x, at::TensorList weights,
                   at::TensorList biases, at::TensorList scales, at::IntArrayRef scaled, at::IntArrayRef signs,
                   const c10::optional<at::Tensor>& factor, at::TensorList running, double momentum, double eps) {
  variable_list parameters(weights.begin(), weights.end());
  TORCH_CHECK(weights.size() == signs.size() && biases.size() == signs.size() && scaled.size() == signs.size(),
              "expected a weight, a bias, a place of its scale and a sign for each norm");
  parameters.insert(parameters.end(), biases.begin(), biases.end());
  parameters.insert(parameters.end(), scales.begin(), scales.end());
  if (factor) parameters.push_back(*factor);
  return NormSum::apply(base, x, at::TensorList(parameters), scaled.vec(), signs.vec(), factor.has_value(),
                        Running{running, momentum}, eps);
}

TORCH_LIBRARY(mobileclip, library) {
  library.def(
      "norm_sum(Tensor? base, Tensor x, Tensor[] weights, Tensor[] biases, Tensor[] scales, int[] scaled, int[] signs, "
      "Tensor? factor, Tensor(a!)[] running, float momentum, float eps) -> Tensor",
      normSum);
}

}  // namespace
