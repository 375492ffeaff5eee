// Depthwise convolution of float32 on the processor, with its gradients: mobileclip::depthwise_conv2d.
//
// libtorch leaves it to oneDNN, which for the small maps and large kernels of FastViT reaches a few percent of the
// processor's peak, least where a channel has several filters. Here a vector holds one pixel of several pictures
// (pictures.h): every size of map and kernel and every stride fills it, and a convolution is, for each pixel, a sum over
// the kernel's places (depthwise-geometry.h). The planes of a channel are turned into that form, zero-padded, and the
// result is turned back; both stay in the cache.
//
// N batch, C channels, M filters per channel, H and W of the input, K rows and columns of the kernel.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "depthwise-geometry.h"
#include "pictures.h"
#include "vectors.h"

namespace {

// ------------------------------------------------------------------------------------------------------ sums

template <int lanes, int block, bool adds>
INLINE void gatherBlock(const Gather& gather, int64_t first, const float* kernel, const float* source, float* target) {
  using Vector = typename Pictures<lanes>::Vector;
  Vector sums[block];
  const float* origins[block];
  UNROLLED
  for (int b = 0; b < block; ++b) {
    origins[b] = source + gather.origins[first + b] * lanes;
    sums[b] = Vector{};
    if (adds) std::memcpy(&sums[b], target + gather.targets[first + b] * lanes, sizeof(Vector));
  }
  const int64_t taps = static_cast<int64_t>(gather.taps.size());
  for (int64_t k = 0; k < taps; ++k) {
    const float weight = kernel[gather.weights[k]];
    const int64_t offset = static_cast<int64_t>(gather.taps[k]) * lanes;
    UNROLLED
    for (int b = 0; b < block; ++b) {
      Vector value;
      std::memcpy(&value, origins[b] + offset, sizeof value);
      sums[b] += weight * value;
    }
  }
  UNROLLED
  for (int b = 0; b < block; ++b) std::memcpy(target + gather.targets[first + b] * lanes, &sums[b], sizeof(Vector));
}

template <int lanes, bool adds>
INLINE void gatherAll(const Gather& gather, const float* kernel, const float* source, float* target) {
  constexpr int block = lanes == 8 ? 8 : 6;
  const int64_t count = static_cast<int64_t>(gather.targets.size());
  int64_t p = 0;
  for (; p + block <= count; p += block) gatherBlock<lanes, block, adds>(gather, p, kernel, source, target);
  for (; p + 2 <= count; p += 2) gatherBlock<lanes, 2, adds>(gather, p, kernel, source, target);
  for (; p < count; ++p) gatherBlock<lanes, 1, adds>(gather, p, kernel, source, target);
}

// sums[k] += sum over pixels of the result of gradient * input at the place of the kernel's value k.
template <int lanes, int block>
INLINE void weightBlock(const Gather& gather, int64_t first, const std::vector<int32_t>& places, const float* gradient,
                        const float* source, float* sums) {
  using Vector = typename Pictures<lanes>::Vector;
  Vector totals[block];
  const float* starts[block];
  UNROLLED
  for (int b = 0; b < block; ++b) {
    std::memcpy(&totals[b], sums + (first + b) * lanes, sizeof(Vector));
    starts[b] = source + gather.taps[first + b] * lanes;
  }
  const int64_t count = static_cast<int64_t>(places.size());
  for (int64_t p = 0; p < count; ++p) {
    Vector g;
    std::memcpy(&g, gradient + places[p] * lanes, sizeof g);
    const int64_t offset = static_cast<int64_t>(gather.origins[p]) * lanes;
    UNROLLED
    for (int b = 0; b < block; ++b) {
      Vector value;
      std::memcpy(&value, starts[b] + offset, sizeof value);
      totals[b] += g * value;
    }
  }
  UNROLLED
  for (int b = 0; b < block; ++b) std::memcpy(sums + (first + b) * lanes, &totals[b], sizeof(Vector));
}

template <int lanes>
INLINE void weightAll(const Gather& gather, const std::vector<int32_t>& places, const float* gradient,
                      const float* source, float* sums) {
  const int64_t taps = static_cast<int64_t>(gather.taps.size());
  int64_t k = 0;
  for (; k + 7 <= taps && taps != 9; k += 7) weightBlock<lanes, 7>(gather, k, places, gradient, source, sums);
  for (; k + 9 <= taps; k += 9) weightBlock<lanes, 9>(gather, k, places, gradient, source, sums);
  for (; k + 3 <= taps; k += 3) weightBlock<lanes, 3>(gather, k, places, gradient, source, sums);
  for (; k < taps; ++k) weightBlock<lanes, 1>(gather, k, places, gradient, source, sums);
}

// --------------------------------------------------------------------------------------------------- one channel

// All that is the same for every channel of a call.
struct Plan {
  Geometry geometry;
  Padded input, gradient;
  std::vector<int32_t> inputPlaces, gradientPlaces;
  Gather forward;
  std::vector<Gather> backward;  // empty: the input's gradient is not wanted

  Plan(const Geometry& g, bool withBackward)
      : geometry(g), input(g.input()), gradient(g.gradient()), inputPlaces(input.places()),
        gradientPlaces(gradient.places()), forward(g.forward()) {
    if (withBackward) backward = g.backward();
  }

  int64_t inputSize() const { return geometry.height * geometry.width; }
  int64_t outputSize() const { return geometry.outHeight * geometry.outWidth; }
};

// Memory of one thread.
struct Buffers {
  at::Tensor memory;
  float *input, *gradient, *result, *sums;

  Buffers(const Plan& plan, int64_t lanes, bool withGradient) {
    const int64_t input = plan.input.size(), gradient = withGradient ? plan.gradient.size() : 0;
    const int64_t result = std::max(plan.inputSize(), plan.outputSize()), sums = plan.geometry.taps();
    memory = at::empty({(input + gradient + result + sums) * lanes}, at::kFloat);
    this->input = memory.data_ptr<float>();
    this->gradient = this->input + input * lanes;
    this->result = this->gradient + gradient * lanes;
    this->sums = this->result + result * lanes;
    std::fill(this->input, this->result, 0.f);
  }
};

template <int lanes>
INLINE void forwardChannel(const Plan& plan, const Buffers& buffers, int64_t c, const float* x, const float* weight,
                           float* y) {
  const Geometry& g = plan.geometry;
  const int64_t in = plan.inputSize(), out = plan.outputSize(), outputs = g.channels * g.filters;
  for (int64_t n = 0; n < g.batch; n += lanes) {
    const int64_t count = std::min<int64_t>(lanes, g.batch - n);
    gatherPlanes<lanes>(x + (n * g.channels + c) * in, g.channels * in, count, plan.inputPlaces, buffers.input);
    for (int64_t f = c * g.filters; f < (c + 1) * g.filters; ++f) {
      gatherAll<lanes, false>(plan.forward, weight + f * g.taps(), buffers.input, buffers.result);
      scatterPlanes<lanes>(buffers.result, out, y + (n * outputs + f) * out, outputs * out, count);
    }
  }
}

// `ofInput`: null where it is not wanted.
template <int lanes>
INLINE void backwardChannel(const Plan& plan, const Buffers& buffers, int64_t c, const float* gradient, const float* x,
                            const float* weight, float* ofInput, float* ofWeight) {
  const Geometry& g = plan.geometry;
  const int64_t in = plan.inputSize(), out = plan.outputSize(), outputs = g.channels * g.filters, taps = g.taps();
  std::vector<double> totals(g.filters * taps);
  for (int64_t n = 0; n < g.batch; n += lanes) {
    const int64_t count = std::min<int64_t>(lanes, g.batch - n);
    gatherPlanes<lanes>(x + (n * g.channels + c) * in, g.channels * in, count, plan.inputPlaces, buffers.input);
    for (int64_t m = 0; m < g.filters; ++m) {
      const int64_t f = c * g.filters + m;
      gatherPlanes<lanes>(gradient + (n * outputs + f) * out, outputs * out, count, plan.gradientPlaces,
                          buffers.gradient);
      std::fill(buffers.sums, buffers.sums + taps * lanes, 0.f);
      weightAll<lanes>(plan.forward, plan.gradientPlaces, buffers.gradient, buffers.input, buffers.sums);
      for (int64_t k = 0; k < taps * lanes; ++k) totals[m * taps + k / lanes] += buffers.sums[k];
      for (const Gather& gather : plan.backward) {
        if (m == 0) gatherAll<lanes, false>(gather, weight + f * taps, buffers.gradient, buffers.result);
        else gatherAll<lanes, true>(gather, weight + f * taps, buffers.gradient, buffers.result);
      }
    }
    if (ofInput) scatterPlanes<lanes>(buffers.result, in, ofInput + (n * g.channels + c) * in, g.channels * in, count);
  }
  for (int64_t k = 0; k < g.filters * taps; ++k) ofWeight[c * g.filters * taps + k] = static_cast<float>(totals[k]);
}

#define CHANNEL(lanes)                                                                                                 \
  FOR_EVERY_PROCESSOR void forward##lanes(const Plan& plan, const Buffers& buffers, int64_t c, const float* x,         \
                                          const float* weight, float* y) {                                             \
    forwardChannel<lanes>(plan, buffers, c, x, weight, y);                                                             \
  }                                                                                                                    \
  FOR_EVERY_PROCESSOR void backward##lanes(const Plan& plan, const Buffers& buffers, int64_t c, const float* gradient, \
                                           const float* x, const float* weight, float* ofInput, float* ofWeight) {     \
    backwardChannel<lanes>(plan, buffers, c, gradient, x, weight, ofInput, ofWeight);                                  \
  }
CHANNEL(8)
CHANNEL(16)

// Sixteen pictures at once where few lanes stay empty and the maps stay in the cache.
int64_t lanesFor(const Plan& plan) {
  const int64_t batch = plan.geometry.batch, empty = (batch + 15) / 16 * 16 - batch;
  const int64_t bytes = (plan.input.size() + plan.gradient.size() + plan.inputSize()) * 16 * sizeof(float);
  return empty < 8 && bytes <= (1 << 20) ? 16 : 8;
}

Geometry geometryOf(const at::Tensor& x, const at::Tensor& weight, int64_t stride, at::IntArrayRef padding) {
  TORCH_CHECK(x.dim() == 4 && weight.dim() == 4 && weight.size(1) == 1 && x.size(1) > 0 &&
                  weight.size(0) > 0 && weight.size(0) % x.size(1) == 0,
              "expected an input [N, C, H, W] and a weight [C * M, 1, K, K], got ", x.sizes(), " and ", weight.sizes());
  TORCH_CHECK(x.device().is_cpu() && x.scalar_type() == at::kFloat && weight.device().is_cpu() &&
                  weight.scalar_type() == at::kFloat,
              "input and weight must be float32 on the processor");
  TORCH_CHECK(stride > 0 && padding.size() == 2 && padding[0] >= 0 && padding[1] >= 0 &&
                  padding[0] < weight.size(2) && padding[1] < weight.size(3),
              "expected a positive stride and a padding smaller than the kernel");
  const auto sizeOf = [&](int64_t size, int64_t kernel, int64_t pad) { return (size + 2 * pad - kernel) / stride + 1; };
  TORCH_CHECK(x.size(2) + 2 * padding[0] >= weight.size(2) && x.size(3) + 2 * padding[1] >= weight.size(3),
              "the kernel is larger than the padded input");
  const Geometry geometry{x.size(0), x.size(1), weight.size(0) / x.size(1), x.size(2), x.size(3), weight.size(2),
                          weight.size(3), stride, padding[0], padding[1],
                          sizeOf(x.size(2), weight.size(2), padding[0]), sizeOf(x.size(3), weight.size(3), padding[1])};
  // Places are 32-bit integers, also when they are multiplied by the lanes.
  TORCH_CHECK(std::max(geometry.input().size(), geometry.gradient().size()) <= std::numeric_limits<int32_t>::max() / 16,
              "a map of ", x.size(2), " x ", x.size(3), " is too large");
  return geometry;
}

// A channel is one thread's: the same bits for every number of threads.
template <typename Work>
void forEveryChannel(const Plan& plan, bool withGradient, Work work) {
  const int64_t lanes = lanesFor(plan);
  at::parallel_for(0, plan.geometry.channels, 1, [&](int64_t begin, int64_t end) {
    const Buffers buffers(plan, lanes, withGradient);
    for (int64_t c = begin; c < end; ++c) work(buffers, c, lanes);
  });
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Depthwise : torch::autograd::Function<Depthwise> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& givenWeight,
                            int64_t stride, at::IntArrayRef padding) {
    const Plan plan(geometryOf(input, givenWeight, stride, padding), false);
    const Geometry& g = plan.geometry;
    const at::Tensor x = input.contiguous(), weight = givenWeight.contiguous();
    at::Tensor y = at::empty({g.batch, g.channels * g.filters, g.outHeight, g.outWidth}, x.options());
    forEveryChannel(plan, false, [&](const Buffers& buffers, int64_t c, int64_t lanes) {
      (lanes == 16 ? forward16 : forward8)(plan, buffers, c, x.data_ptr<float>(), weight.data_ptr<float>(),
                                           y.data_ptr<float>());
    });
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    context->saved_data["wanted"] = input.requires_grad();
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "depthwise_conv2d: second derivatives are not implemented");
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], gradient = gradients[0].contiguous();
    const bool wanted = context->saved_data["wanted"].toBool();
    const std::vector<int64_t> padding = context->saved_data["padding"].toIntVector();
    const Plan plan(geometryOf(x, weight, context->saved_data["stride"].toInt(), padding), wanted);
    at::Tensor ofInput = wanted ? at::empty_like(x) : at::Tensor(), ofWeight = at::empty_like(weight);
    forEveryChannel(plan, true, [&](const Buffers& buffers, int64_t c, int64_t lanes) {
      (lanes == 16 ? backward16 : backward8)(plan, buffers, c, gradient.data_ptr<float>(), x.data_ptr<float>(),
                                             weight.data_ptr<float>(), wanted ? ofInput.data_ptr<float>() : nullptr,
                                             ofWeight.data_ptr<float>());
    });
    return {ofInput, ofWeight, at::Tensor(), at::Tensor()};
  }
};

at::Tensor depthwise(const at::Tensor& x, const at::Tensor& weight, int64_t stride, at::IntArrayRef padding) {
  return Depthwise::apply(x, weight, stride, padding);
}

TORCH_LIBRARY_FRAGMENT(mobileclip, library) {
  library.def("depthwise_conv2d(Tensor x, Tensor weight, int stride, int[2] padding) -> Tensor", depthwise);
}

}  // namespace
