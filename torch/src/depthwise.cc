// The weight gradient of depthwise convolutions on the processor, in float32.
//
// libtorch 1.13 to 2.13 leave it to oneDNN, which for 7x7 kernels reaches about 1 % of the processor's peak; FastViT has
// such a kernel in every block. Registered as the CPU kernel of aten::convolution_backward: what is not a depthwise
// convolution of this kind, and the gradient of the input, goes to libtorch's own.
//
// N batch, C channels, M filters per channel, H and W of the input, K rows and columns of the kernel.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/convolution_backward_native.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t kLanes = Lanes<float>::count;
using Vector = Lanes<float>::Vector;

// One plane of the input, zero-padded, its columns split by their remainder modulo the stride: the pixels that one
// kernel column meets are then consecutive.
struct Planes {
  int64_t rows, columns, stride, phase;  // phase: floats in a row of one remainder
  std::vector<float> values;             // [rows][stride][phase]

  Planes(int64_t rows, int64_t columns, int64_t stride)
      : rows(rows), columns(columns), stride(stride), phase((columns + stride - 1) / stride + kLanes),
        values(rows * stride * phase) {}

  void load(const float* plane, int64_t height, int64_t width, int64_t top, int64_t left) {
    for (int64_t y = 0; y < height; ++y) {
      float* row = values.data() + (y + top) * stride * phase;
      const float* pixels = plane + y * width;
      if (stride == 1) {
        std::memcpy(row + left, pixels, width * sizeof(float));
        continue;
      }
      for (int64_t first = 0; first < std::min(stride, width); ++first) {
        float* target = row + ((first + left) % stride) * phase + (first + left) / stride;
        for (int64_t x = first; x < width; x += stride) *target++ = pixels[x];
      }
    }
  }

  // Where column j of the kernel starts in a row.
  const float* at(int64_t row, int64_t column) const {
    return values.data() + (row * stride + column % stride) * phase + column / stride;
  }
};

// Adds, for one row of the kernel, sum over y and x of gradient[y][x] * input[y * stride + i][x * stride + j] to
// sums[j], lane by lane. `gradient` has rows of `padded` floats, zeros after its width.
template <int kColumns>
INLINE void accumulateRow(const Planes& input, const float* gradient, int64_t height, int64_t padded, int64_t i,
                          Vector* sums) {
  Vector local[kColumns];
  for (int j = 0; j < kColumns; ++j) local[j] = sums[j];
  const float* starts[kColumns];
  for (int j = 0; j < kColumns; ++j) starts[j] = input.at(i, j);
  const int64_t step = input.stride * input.stride * input.phase;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < padded; x += kLanes) {
      Vector g;
      std::memcpy(&g, gradient + y * padded + x, sizeof g);
      for (int j = 0; j < kColumns; ++j) {
        Vector value;
        std::memcpy(&value, starts[j] + y * step + x, sizeof value);
        local[j] += g * value;
      }
    }
  }
  for (int j = 0; j < kColumns; ++j) sums[j] = local[j];
}

#define ACCUMULATE(columns)                                                                                        \
  FOR_EVERY_PROCESSOR void accumulate##columns(const Planes& input, const float* gradient, int64_t height,         \
                                               int64_t padded, int64_t rows, Vector* sums) {                       \
    for (int64_t i = 0; i < rows; ++i) accumulateRow<columns>(input, gradient, height, padded, i, sums + i * columns); \
  }
ACCUMULATE(5)
ACCUMULATE(7)
ACCUMULATE(11)

// A list of one stands for rows and columns alike.
int64_t rowsOf(at::IntArrayRef pair) { return pair[0]; }
int64_t columnsOf(at::IntArrayRef pair) { return pair.back(); }

using Accumulate = void (*)(const Planes&, const float*, int64_t, int64_t, int64_t, Vector*);

// Null where oneDNN has a fast kernel of its own (3x3) or the family has no such convolution.
Accumulate accumulateFor(int64_t columns) {
  switch (columns) {
    case 5: return accumulate5;
    case 7: return accumulate7;
    case 11: return accumulate11;
    default: return nullptr;
  }
}

// gradient [N, C * M, H', W'], input [N, C, H, W] -> [C * M, 1, K, K]
at::Tensor weightGradient(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight,
                          at::IntArrayRef strides, at::IntArrayRef padding) {
  const at::Tensor g = gradient.contiguous(), x = input.contiguous();
  const int64_t batch = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t filters = g.size(1) / channels, outHeight = g.size(2), outWidth = g.size(3);
  const int64_t rows = weight.size(2), columns = weight.size(3), stride = rowsOf(strides);
  const int64_t padded = (outWidth + kLanes - 1) / kLanes * kLanes;
  at::Tensor result = at::empty(weight.sizes(), weight.options());
  const float* gradients = g.data_ptr<float>();
  const float* inputs = x.data_ptr<float>();
  float* results = result.data_ptr<float>();
  const Accumulate accumulate = accumulateFor(columns);

  at::parallel_for(0, channels, 1, [&](int64_t begin, int64_t end) {
    // Behind the padded width the gradient is zero, but the input is read there.
    Planes planes(std::max(height + 2 * rowsOf(padding), (outHeight - 1) * stride + rows),
                  std::max(width + 2 * columnsOf(padding), (padded - 1) * stride + columns), stride);
    std::vector<float> rowsOfGradient(outHeight * padded);
    std::vector<float> storage((rows * columns * filters + 1) * kLanes);
    for (int64_t c = begin; c < end; ++c) {
      std::fill(storage.begin(), storage.end(), 0.f);
      Vector* sums = reinterpret_cast<Vector*>(
          (reinterpret_cast<uintptr_t>(storage.data()) + sizeof(Vector) - 1) / sizeof(Vector) * sizeof(Vector));
      for (int64_t n = 0; n < batch; ++n) {
        planes.load(inputs + (n * channels + c) * height * width, height, width, rowsOf(padding),
                    columnsOf(padding));
        for (int64_t m = 0; m < filters; ++m) {
          const float* plane = gradients + ((n * channels + c) * filters + m) * outHeight * outWidth;
          for (int64_t y = 0; y < outHeight; ++y)
            std::memcpy(rowsOfGradient.data() + y * padded, plane + y * outWidth, outWidth * sizeof(float));
          accumulate(planes, rowsOfGradient.data(), outHeight, padded, rows, sums + m * rows * columns);
        }
      }
      for (int64_t k = 0; k < filters * rows * columns; ++k) {
        float sum = 0;
        for (int64_t lane = 0; lane < kLanes; ++lane) sum += sums[k][lane];
        results[c * filters * rows * columns + k] = sum;
      }
    }
  });
  return result;
}

bool isOurs(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight, at::IntArrayRef stride,
            at::IntArrayRef dilation, bool transposed, int64_t groups) {
  const auto plain = [](const at::Tensor& t) { return t.scalar_type() == at::kFloat && t.layout() == at::kStrided; };
  return !transposed && input.dim() == 4 && groups > 1 && input.size(1) == groups && weight.size(1) == 1 &&
         plain(gradient) && plain(input) && plain(weight) && rowsOf(stride) == columnsOf(stride) && rowsOf(dilation) == 1 &&
         columnsOf(dilation) == 1 && accumulateFor(weight.size(3)) != nullptr && input.numel() > 0;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolutionBackward(
    const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight, at::OptionalIntArrayRef biasSizes,
    at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
    at::IntArrayRef outputPadding, int64_t groups, std::array<bool, 3> mask) {
  const bool ours = mask[1] && isOurs(gradient, input, weight, stride, dilation, transposed, groups);
  std::tuple<at::Tensor, at::Tensor, at::Tensor> result;
  if (!ours || mask[0] || mask[2]) {
    result = at::native::convolution_backward(gradient, input, weight, biasSizes, stride, padding, dilation, transposed,
                                              outputPadding, groups, {mask[0], mask[1] && !ours, mask[2]});
  }
  if (ours) std::get<1>(result) = weightGradient(gradient, input, weight, stride, padding);
  return result;
}

TORCH_LIBRARY_IMPL(aten, CPU, library) { library.impl("convolution_backward", convolutionBackward); }

}  // namespace
