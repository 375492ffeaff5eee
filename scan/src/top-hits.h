// The best rows so far, in a heap whose root is the worst of them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace scan {

struct Hit {
  float score;
  uint32_t position;
};

// The order of results: by score, and equal scores by position.
inline bool isBetter(const Hit& a, const Hit& b) {
  return a.score > b.score || (a.score == b.score && a.position < b.position);
}

class TopHits {
 public:
  explicit TopHits(size_t most) : most_(most) {}

  // No score below this one is kept. A comparison with NaN is false: such a row is not a hit.
  float least() const { return hits_.size() < most_ ? -std::numeric_limits<float>::infinity() : hits_.front().score; }

  void offer(const Hit& hit) {
    if (hits_.size() < most_) {
      hits_.push_back(hit);
      std::push_heap(hits_.begin(), hits_.end(), isBetter);
    } else if (most_ > 0 && isBetter(hit, hits_.front())) {
      std::pop_heap(hits_.begin(), hits_.end(), isBetter);
      hits_.back() = hit;
      std::push_heap(hits_.begin(), hits_.end(), isBetter);
    }
  }

  const std::vector<Hit>& hits() const { return hits_; }

 private:
  size_t most_;
  std::vector<Hit> hits_;
};

// The best of all, in order.
inline std::vector<Hit> merged(const std::vector<TopHits>& parts, size_t most) {
  std::vector<Hit> all;
  for (const auto& part : parts) all.insert(all.end(), part.hits().begin(), part.hits().end());
  const size_t count = std::min(most, all.size());
  std::partial_sort(all.begin(), all.begin() + count, all.end(), isBetter);
  all.resize(count);
  return all;
}

}  // namespace scan
