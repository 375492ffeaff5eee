// All pairs of rows that are near each other: products of blocks of rows with blocks of rows.
#pragma once
#include <mutex>
#include <vector>

#include "scan.h"

namespace scan {

struct Pair {
  uint32_t a;
  uint32_t b;
  float score;
};

struct Block {
  size_t first;
  size_t count;
};

struct PairsRequest {
  size_t count;
  float threshold;
  size_t threads;
  Mask mask;
};

class PairsJob : public Job {
 public:
  // `state` [2], which JavaScript shares: it is asked to stop by the first number, and says in the second how many blocks are done.
  PairsJob(Vectors vectors, PairsRequest request, Napi::Reference<Napi::Int32Array> state);
  void run() override;
  // {a, b, scores}, by a and then by b
  Napi::Value answer(Napi::Env env) override;

  // Rows of a block.
  static constexpr size_t kRows = 192;

 private:
  bool isAsked() const { return __atomic_load_n(shared_, __ATOMIC_RELAXED) != 0; }
  void blockRow(const uint16_t* rows, size_t i);
  bool pack(const uint16_t* rows, const Block& block, size_t tile, std::vector<float>& loose, std::vector<float>& panels);
  void compare(const Block& a, const Block& b, const float* left, const float* right, std::vector<Pair>& near);
  void keep(const uint16_t* rows, std::vector<float>& query, std::vector<Pair>& near);

  Vectors vectors_;
  PairsRequest request_;
  Napi::Reference<Napi::Int32Array> state_;
  int32_t* shared_;
  std::mutex mutex_;
  std::vector<Pair> pairs_;
};

}  // namespace scan
