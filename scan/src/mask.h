// Which rows may be hits or parts of pairs: a bit for each, the least significant first.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace scan {

class Mask {
 public:
  // All rows.
  Mask() = default;
  explicit Mask(std::vector<uint8_t> bits) : isAll_(false), bits_(std::move(bits)) {}

  bool isAll() const { return isAll_; }

  bool has(size_t row) const { return isAll_ || (row / 8 < bits_.size() && (bits_[row / 8] >> (row % 8) & 1)); }

  // The bits of rows [first, first + count), count <= 64 and first a multiple of 8.
  uint64_t word(size_t first, size_t count) const {
    const uint64_t all = count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
    if (isAll_) return all;
    uint64_t bits = 0;
    const size_t from = first / 8;
    for (size_t i = 0; i < 8 && from + i < bits_.size(); i++) bits |= uint64_t{bits_[from + i]} << (8 * i);
    return bits & all;
  }

  // The same without rows [first, last), for `count` rows.
  Mask without(size_t first, size_t last, size_t count) const {
    std::vector<uint8_t> bits = isAll_ ? std::vector<uint8_t>((count + 7) / 8, 0xff) : bits_;
    for (size_t i = first; i < last; i++) bits[i / 8] &= static_cast<uint8_t>(~(1u << (i % 8)));
    return Mask(std::move(bits));
  }

 private:
  bool isAll_ = true;
  std::vector<uint8_t> bits_;
};

}  // namespace scan
