// Which values of padded maps a depthwise convolution and its gradients sum up.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

// Maps of one channel: [height][width] of vectors, with zeros around; places are counted in vectors.
struct Padded {
  int64_t height, width, top, left, bottom, right;

  int64_t pitch() const { return left + width + right; }
  int64_t size() const { return (top + height + bottom) * pitch(); }
  int64_t at(int64_t y, int64_t x) const { return (y + top) * pitch() + x + left; }

  // Where each pixel of a plane is.
  std::vector<int32_t> places() const {
    std::vector<int32_t> list;
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x) list.push_back(static_cast<int32_t>(at(y, x)));
    return list;
  }
};

// result[target] = sum over taps of weight * source[origin + tap], for pixels that share their taps.
struct Gather {
  std::vector<int32_t> targets, origins;
  std::vector<int32_t> taps, weights;  // weights: which of the kernel's values
};

struct Geometry {
  int64_t batch, channels, filters, height, width, rows, columns, stride, top, left, outHeight, outWidth;

  int64_t taps() const { return rows * columns; }

  Padded input() const {
    const int64_t bottom = std::max<int64_t>(0, (outHeight - 1) * stride + rows - top - height);
    const int64_t right = std::max<int64_t>(0, (outWidth - 1) * stride + columns - left - width);
    return {height, width, top, left, bottom, right};
  }

  // The gradient of the result, as far as pixels of the input ask for it.
  Padded gradient() const {
    const auto before = [&](int64_t kernel, int64_t padding) {
      return std::max<int64_t>(0, (kernel - 1 - padding + stride - 1) / stride);
    };
    const auto after = [&](int64_t size, int64_t padding, int64_t out) {
      return std::max<int64_t>(0, (size - 1 + padding) / stride - (out - 1));
    };
    return {outHeight, outWidth, before(rows, top), before(columns, left), after(height, top, outHeight),
            after(width, left, outWidth)};
  }

  Gather forward() const {
    const Padded source = input();
    Gather gather;
    for (int64_t y = 0; y < outHeight; ++y) {
      for (int64_t x = 0; x < outWidth; ++x) {
        gather.targets.push_back(static_cast<int32_t>(y * outWidth + x));
        gather.origins.push_back(static_cast<int32_t>(y * stride * source.pitch() + x * stride));
      }
    }
    for (int64_t k = 0; k < taps(); ++k) {
      gather.taps.push_back(static_cast<int32_t>(k / columns * source.pitch() + k % columns));
      gather.weights.push_back(static_cast<int32_t>(k));
    }
    return gather;
  }

  // Pixels of the input by their remainders modulo the stride: those of one kind meet the same values of the kernel.
  std::vector<Gather> backward() const {
    std::vector<Gather> all;
    for (int64_t y = 0; y < std::min(stride, height); ++y)
      for (int64_t x = 0; x < std::min(stride, width); ++x) all.push_back(backwardOf(y, x));
    return all;
  }

 private:
  Gather backwardOf(int64_t firstRow, int64_t firstColumn) const {
    const Padded source = gradient();
    Gather gather;
    for (int64_t y = firstRow; y < height; y += stride) {
      for (int64_t x = firstColumn; x < width; x += stride) {
        gather.targets.push_back(static_cast<int32_t>(y * width + x));
        gather.origins.push_back(static_cast<int32_t>(y / stride * source.pitch() + x / stride));
      }
    }
    for (int64_t i = (firstRow + top) % stride; i < rows; i += stride) {
      for (int64_t j = (firstColumn + left) % stride; j < columns; j += stride) {
        // Exact divisions: numerators may be negative.
        const int64_t y = (firstRow + top - i) / stride, x = (firstColumn + left - j) / stride;
        gather.taps.push_back(static_cast<int32_t>(source.at(y, x)));
        gather.weights.push_back(static_cast<int32_t>(i * columns + j));
      }
    }
    return gather;
  }
};
