// Batch norms of one input, weighted and summed, on the processor: mobileclip::norm_sum.
//
// A training-form block of the MobileOne kind normalises its input several times: as it is, and times a factor per
// channel (the 1x1 depthwise branch). Mean and variance of all follow from those of the input, and the sum is one factor
// and one shift per channel, so a channel is read once from memory, and stays in the cache for what comes then.
//
//   y = base + sum_k gain_k * slope_k * (x - mean) / sqrt(slope_k^2 * variance + eps) + bias
//
// N batch, C channels, P pixels of a plane, K norms.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cmath>
#include <cstring>

#include "vectors.h"

namespace {

// One channel: where its planes lie, and its column of gains and slopes.
template <typename T>
struct Channel {
  int64_t planes, size, stride;  // stride: values from one plane to the next
  const T *gains, *slopes;
  int64_t norms, channels;
  double eps;

  double gain(int64_t k) const { return gains[k * channels]; }
  double slope(int64_t k) const { return slopes[k * channels]; }
  double inverse(int64_t k, double variance) const { return 1 / std::sqrt(slope(k) * slope(k) * variance + eps); }
  double count() const { return static_cast<double>(planes * size); }
};

// Sum over all planes of left * right, where left is x or x - shift, and right is 1, the same or another's values. A
// plane is summed in T, planes in double.
enum class Times { one, itself, other };

template <typename T, Times times>
INLINE double sumOf(const Channel<T>& channel, const T* x, T shift, const T* other) {
  using Vector = typename Lanes<T>::Vector;
  constexpr int64_t lanes = Lanes<T>::count;
  double total = 0;
  for (int64_t n = 0; n < channel.planes; ++n, x += channel.stride) {
    Vector sums = {};
    int64_t i = 0;
    for (; i + lanes <= channel.size; i += lanes) {
      Vector left;
      std::memcpy(&left, x + i, sizeof left);
      left -= shift;
      if constexpr (times == Times::one) sums += left;
      if constexpr (times == Times::itself) sums += left * left;
      if constexpr (times == Times::other) {
        Vector right;
        std::memcpy(&right, other + i, sizeof right);
        sums += left * right;
      }
    }
    T sum = 0;
    for (int64_t lane = 0; lane < lanes; ++lane) sum += sums[lane];
    for (; i < channel.size; ++i) {
      const T left = x[i] - shift;
      sum += times == Times::one ? left : left * (times == Times::itself ? left : other[i]);
    }
    total += sum;
    if constexpr (times == Times::other) other += channel.stride;
  }
  return total;
}

// y = a * left + b * (right - shift) + c; without `left`, its part is left out.
template <typename T>
INLINE void combine(const Channel<T>& channel, const T* left, const T* right, T* y, T a, T b, T shift, T c) {
  using Vector = typename Lanes<T>::Vector;
  constexpr int64_t lanes = Lanes<T>::count;
  for (int64_t n = 0; n < channel.planes; ++n) {
    const int64_t start = n * channel.stride;
    int64_t i = start;
    for (; i + lanes <= start + channel.size; i += lanes) {
      Vector value;
      std::memcpy(&value, right + i, sizeof value);
      value = (value - shift) * b + c;
      if (left) {
        Vector other;
        std::memcpy(&other, left + i, sizeof other);
        value += other * a;
      }
      std::memcpy(y + i, &value, sizeof value);
    }
    for (; i < start + channel.size; ++i) y[i] = (right[i] - shift) * b + c + (left ? left[i] * a : 0);
  }
}

template <typename T>
INLINE void forwardOf(const Channel<T>& channel, const T* base, const T* x, T bias, T* y, T* mean, T* variance) {
  *mean = sumOf<T, Times::one>(channel, x, 0, nullptr) / channel.count();
  *variance = sumOf<T, Times::itself>(channel, x, *mean, nullptr) / channel.count();
  double factor = 0;
  for (int64_t k = 0; k < channel.norms; ++k)
    factor += channel.gain(k) * channel.slope(k) * channel.inverse(k, *variance);
  combine<T>(channel, base, x, y, 1, factor, *mean, bias);
}

// `direct`: what of the result's gradient the input gets besides, as the base of the sum.
template <typename T>
INLINE void backwardOf(const Channel<T>& channel, const T* gradient, const T* x, T mean, T variance, T direct, T* input,
                       T* gains, T* slopes, T* bias) {
  const double sum = sumOf<T, Times::one>(channel, gradient, 0, nullptr);
  const double dot = sumOf<T, Times::other>(channel, x, mean, gradient);
  double factor = 0, ofVariance = 0;
  for (int64_t k = 0; k < channel.norms; ++k) {
    const double gain = channel.gain(k), slope = channel.slope(k), inverse = channel.inverse(k, variance);
    const double cubed = inverse * inverse * inverse;
    factor += gain * slope * inverse;
    ofVariance -= gain * slope * slope * slope * cubed / 2;
    gains[k * channel.channels] = dot * slope * inverse;
    slopes[k * channel.channels] = dot * gain * channel.eps * cubed;
  }
  *bias = sum;
  const double n = channel.count();
  combine<T>(channel, gradient, x, input, factor + direct, 2 * dot * ofVariance / n, mean, -factor * sum / n);
}

#define PASSES(T)                                                                                                     \
  FOR_EVERY_PROCESSOR void forward(const Channel<T>& channel, const T* base, const T* x, T bias, T* y, T* mean,       \
                                   T* variance) {                                                                     \
    forwardOf<T>(channel, base, x, bias, y, mean, variance);                                                          \
  }                                                                                                                   \
  FOR_EVERY_PROCESSOR void backward(const Channel<T>& channel, const T* gradient, const T* x, T mean, T variance,     \
                                    T direct, T* input, T* gains, T* slopes, T* bias) {                               \
    backwardOf<T>(channel, gradient, x, mean, variance, direct, input, gains, slopes, bias);                          \
  }
PASSES(float)
PASSES(double)

template <typename T>
Channel<T> channelOf(const at::Tensor& x, const at::Tensor& gains, const at::Tensor& slopes, double eps, int64_t c) {
  const int64_t channels = x.size(1), size = x.numel() / (x.size(0) * channels);
  return {x.size(0),      size,     channels * size, gains.data_ptr<T>() + c, slopes.data_ptr<T>() + c,
          gains.size(0), channels, eps};
}

template <typename T>
T* at(const at::Tensor& tensor, int64_t offset) {
  return tensor.defined() ? tensor.data_ptr<T>() + offset : nullptr;
}

template <typename Work>
void forEveryChannel(const at::Tensor& x, Work work) {
  at::parallel_for(0, x.size(1), 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) inDtype(x.scalar_type(), [&](auto zero) { work(c, zero); });
  });
}

void check(const at::Tensor& base, const at::Tensor& x, const at::Tensor& gains, const at::Tensor& slopes,
           const at::Tensor& bias) {
  TORCH_CHECK(x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble),
              "the input must be float32 or float64 on the processor");
  TORCH_CHECK(x.dim() >= 2 && x.numel() > 0, "expected an input [N, C, ...] with values");
  TORCH_CHECK(gains.dim() == 2 && gains.size(1) == x.size(1) && slopes.sizes() == gains.sizes() && bias.dim() == 1 &&
                  bias.size(0) == x.size(1),
              "expected gains and slopes [K, C] and a bias [C] for an input of ", x.size(1), " channels");
  TORCH_CHECK(!base.defined() || base.sizes() == x.sizes(), "base and input must be of one shape");
  for (const at::Tensor& other : {base, gains, slopes, bias})
    TORCH_CHECK(!other.defined() || (other.scalar_type() == x.scalar_type() && other.device() == x.device()),
                "all tensors must have the input's dtype and device");
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct NormSum : torch::autograd::Function<NormSum> {
  static variable_list forward(AutogradContext* context, const c10::optional<at::Tensor>& given, const at::Tensor& input,
                               const at::Tensor& givenGains, const at::Tensor& givenSlopes, const at::Tensor& givenBias,
                               double eps) {
    const at::Tensor base = given.value_or(at::Tensor());
    check(base, input, givenGains, givenSlopes, givenBias);
    const at::Tensor x = input.contiguous(), gains = givenGains.contiguous(), slopes = givenSlopes.contiguous();
    const at::Tensor bias = givenBias.contiguous(), first = base.defined() ? base.contiguous() : base;
    at::Tensor y = at::empty_like(x), mean = at::empty_like(bias), variance = at::empty_like(bias);
    forEveryChannel(x, [&](int64_t c, auto zero) {
      using T = decltype(zero);
      const Channel<T> channel = channelOf<T>(x, gains, slopes, eps, c);
      const int64_t start = c * channel.size;
      ::forward(channel, at<T>(first, start), at<T>(x, start), *at<T>(bias, c), at<T>(y, start), at<T>(mean, c),
                at<T>(variance, c));
    });
    context->save_for_backward({x, gains, slopes, mean, variance});
    context->saved_data["eps"] = eps;
    context->saved_data["based"] = base.defined();
    context->saved_data["same"] = base.is_same(input);
    context->mark_non_differentiable({mean, variance});
    return {y, mean, variance};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &kept = saved[1], &slopes = saved[2], &mean = saved[3], &variance = saved[4];
    const at::Tensor gradient = gradients[0].contiguous();
    const bool same = context->saved_data["same"].toBool();
    const double eps = context->saved_data["eps"].toDouble();
    at::Tensor ofInput = at::empty_like(x), ofGains = at::empty_like(kept), ofSlopes = at::empty_like(kept),
               ofBias = at::empty_like(mean);
    forEveryChannel(x, [&](int64_t c, auto zero) {
      using T = decltype(zero);
      const Channel<T> channel = channelOf<T>(x, kept, slopes, eps, c);
      const int64_t start = c * channel.size;
      ::backward(channel, at<T>(gradient, start), at<T>(x, start), *at<T>(mean, c), *at<T>(variance, c),
                 static_cast<T>(same ? 1 : 0), at<T>(ofInput, start), at<T>(ofGains, c), at<T>(ofSlopes, c),
                 at<T>(ofBias, c));
    });
    const bool based = context->saved_data["based"].toBool();
    return {same || !based ? at::Tensor() : gradients[0], ofInput, ofGains, ofSlopes, ofBias, at::Tensor()};
  }
};

// base as in the formula, [N, C, ...], or none; x [N, C, ...]; gains and slopes [K, C]; bias [C]
// -> y, and mean and biased variance of x, [C], without gradients
std::tuple<at::Tensor, at::Tensor, at::Tensor> normSum(const c10::optional<at::Tensor>& base, const at::Tensor& x,
                                                       const at::Tensor& gains, const at::Tensor& slopes,
                                                       const at::Tensor& bias, double eps) {
  const variable_list results = NormSum::apply(base, x, gains, slopes, bias, eps);
  return {results[0], results[1], results[2]};
}

TORCH_LIBRARY(mobileclip, library) {
  library.def("norm_sum(Tensor? base, Tensor x, Tensor gains, Tensor slopes, Tensor bias, float eps) -> (Tensor, Tensor, Tensor)",
              normSum);
}

}  // namespace
