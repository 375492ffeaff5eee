// Search in two steps: estimates by binary codes, then exact scores of the best of them. The file of codes is written by
// src/search/scan/codes.ts, which says what it holds.
#pragma once
#include <vector>

#include "scan.h"

namespace scan {

// Rows whose factors, and then whose codes, lie side by side.
constexpr size_t kCodeBlock = 64;

struct Codes {
  std::shared_ptr<MappedFile> file;
  // Where the first block begins, a multiple of 8.
  size_t offset;
  // Rows [0, count) have codes; the others are scanned.
  size_t count;
  // 64-bit words of a code.
  size_t words;

  size_t blocks() const { return (count + kCodeBlock - 1) / kCodeBlock; }
  size_t blockBytes() const { return kCodeBlock * (sizeof(float) + words * sizeof(uint64_t)); }
};

// A query as kPlanes bits for each dimension: x = low + step * bits.
struct QuantizedQuery {
  QuantizedQuery(const float* query, size_t dim, size_t words);

  float low;
  float step;
  float total;
  std::vector<uint64_t> planes;
};

class CodesJob : public Job {
 public:
  // The best `candidates` by their estimates are scored exactly.
  CodesJob(Vectors vectors, Codes codes, Queries queries, ScanRequest request, size_t candidates);
  void run() override;
  // {positions, scores}
  Napi::Value answer(Napi::Env env) override;

 private:
  std::vector<uint32_t> estimate(const Mapping& codes);
  bool estimateBlocks(const Mapping& codes, const QuantizedQuery& query, size_t first, size_t last, TopHits& top) const;
  std::vector<TopHits> scoreCandidates(const uint16_t* rows, const std::vector<uint32_t>& candidates);
  std::vector<TopHits> scanUncoded(const uint16_t* rows);

  Vectors vectors_;
  Codes codes_;
  Queries queries_;
  ScanRequest request_;
  size_t candidates_;
  std::vector<Hit> hits_;
};

}  // namespace scan
