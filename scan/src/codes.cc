#include "codes.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <tuple>

#include "guard.h"

namespace scan {
namespace {

// Blocks that a thread takes at a time.
constexpr size_t kChunkBlocks = 256;

struct EstimateWork {
  const Kernel* kernel;
  const uint8_t* block;
  size_t words;
  size_t count;
  const QuantizedQuery* query;
  float* out;
};

// q . v = q . mean + f (q . s), where s are the code's signs and f the row's factor: q . mean is the same for all rows.
void estimateBlock(const EstimateWork& work) {
  uint32_t bits[kCodeBlock], sums[kCodeBlock];
  const auto* factors = reinterpret_cast<const float*>(work.block);
  const auto* codes = reinterpret_cast<const uint64_t*>(factors + kCodeBlock);
  work.kernel->codeSums(codes, work.words, work.count, work.query->planes.data(), bits, sums);
  const auto [low, step, total] = std::tuple(work.query->low, work.query->step, work.query->total);
  for (size_t i = 0; i < work.count; i++) {
    const float positive = low * static_cast<float>(bits[i]) + step * static_cast<float>(sums[i]);
    work.out[i] = factors[i] * (2 * positive - total);
  }
}

bool isSet(const std::vector<uint8_t>& mask, size_t row) {
  return mask.empty() || (row / 8 < mask.size() && (mask[row / 8] >> (row % 8) & 1));
}

}  // namespace

QuantizedQuery::QuantizedQuery(const float* query, size_t dim, size_t words)
    : low(*std::min_element(query, query + dim)),
      step(0),
      total(std::accumulate(query, query + dim, 0.0f)),
      planes(kPlanes * words) {
  constexpr float kLevels = (1 << kPlanes) - 1;
  step = (*std::max_element(query, query + dim) - low) / kLevels;
  if (!(step > 0)) return;
  for (size_t i = 0; i < dim; i++) {
    const auto level = static_cast<uint32_t>(std::min(kLevels, std::round((query[i] - low) / step)));
    for (size_t b = 0; b < kPlanes; b++)
      if (level >> b & 1) planes[b * words + i / 64] |= uint64_t{1} << (i % 64);
  }
}

CodesJob::CodesJob(Vectors vectors, Codes codes, Queries queries, ScanRequest request, size_t candidates)
    : vectors_(std::move(vectors)),
      codes_(std::move(codes)),
      queries_(std::move(queries)),
      request_(std::move(request)),
      candidates_(candidates) {}

void CodesJob::run() {
  if (request_.count == 0) return;
  codes_.count = std::min(codes_.count, request_.count);
  Failure failure = Failure::none;
  const auto mapping = vectors_.file->map(vectors_.bytesOf(request_.count), failure);
  const size_t blocks = (codes_.count + kCodeBlock - 1) / kCodeBlock;
  const auto codes = mapping ? codes_.file->map(codes_.offset + blocks * codes_.blockBytes(), failure) : nullptr;
  if (!codes) return fail(failure);
  std::vector<uint32_t> positions;
  for (const Hit& hit : estimate(*codes)) positions.push_back(hit.position);
  if (!isOver()) score(vectors_.rowsIn(*mapping), std::move(positions));
}

std::vector<Hit> CodesJob::estimate(const Mapping& codes) {
  const QuantizedQuery query(queries_.row(0), vectors_.dim, codes_.words);
  const size_t blocks = (codes_.count + kCodeBlock - 1) / kCodeBlock;
  const size_t chunks = (blocks + kChunkBlocks - 1) / kChunkBlocks;
  const size_t threads = std::max<size_t>(1, std::min(request_.threads, chunks));
  std::vector<TopHits> tops(threads, TopHits(candidates_));
  std::atomic<size_t> next{0};
  inThreads(threads, [&](size_t thread) {
    try {
      TopHits top(candidates_);
      for (size_t i; !isOver() && (i = next++) < chunks;) {
        const size_t last = std::min(blocks, (i + 1) * kChunkBlocks);
        if (!estimateBlocks(codes, query, i * kChunkBlocks, last, top)) fail(Failure::readFault);
      }
      tops[thread] = std::move(top);
    } catch (const std::bad_alloc&) {
      fail(Failure::noMemory);
    }
  });
  return merged(tops, candidates_);
}

bool CodesJob::estimateBlocks(const Mapping& codes, const QuantizedQuery& query, size_t first, size_t last,
                              TopHits& top) const {
  float estimates[kCodeBlock];
  for (size_t b = first; b < last; b++) {
    const size_t start = b * kCodeBlock;
    const size_t count = std::min(kCodeBlock, codes_.count - start);
    const uint8_t* block = codes.bytes() + codes_.offset + b * codes_.blockBytes();
    if (!guarded(estimateBlock, EstimateWork{vectors_.kernel, block, codes_.words, count, &query, estimates})) return false;
    float least = top.least();
    for (size_t i = 0; i < count; i++) {
      if (!(estimates[i] >= least) || !isSet(request_.mask, start + i)) continue;
      top.offer({estimates[i], static_cast<uint32_t>(start + i)});
      least = top.least();
    }
  }
  return true;
}

// Exact scores of the candidates, and of the rows that have no codes yet.
void CodesJob::score(const uint16_t* rows, std::vector<uint32_t> candidates) {
  // In the order of the file, which a disk reads faster.
  std::sort(candidates.begin(), candidates.end());
  const size_t threads = request_.threads;
  const size_t first = codes_.count / 64 * 64;
  const size_t share = ((request_.count - first + threads - 1) / threads + 63) / 64 * 64;
  std::vector<TopHits> tops(threads, TopHits(request_.k));
  inThreads(threads, [&](size_t thread) {
    try {
      TopHits top(request_.k);
      const size_t from = candidates.size() * thread / threads, to = candidates.size() * (thread + 1) / threads;
      std::vector<float> scores(to - from);
      if (!scoreRows(vectors_, rows, queries_.row(0), candidates.data() + from, to - from, scores.data()))
        return fail(Failure::readFault);
      for (size_t i = from; i < to; i++)
        if (scores[i - from] >= top.least()) top.offer({scores[i - from], candidates[i]});
      tops[thread] = std::move(top);
    } catch (const std::bad_alloc&) {
      fail(Failure::noMemory);
    }
  });
  if (isOver()) return;
  std::vector<TopHits> rest(threads, TopHits(request_.k));
  ScanRequest tail = request_;
  // Rows before the first without a code share its word of the mask.
  if (tail.mask.empty()) tail.mask.assign((request_.count + 7) / 8, 0xff);
  for (size_t i = first; i < codes_.count; i++) tail.mask[i / 8] &= static_cast<uint8_t>(~(1u << (i % 8)));
  inThreads(threads, [&](size_t thread) {
    try {
      const size_t from = std::min(request_.count, first + thread * share);
      const size_t to = std::min(request_.count, from + share);
      TopHits top(request_.k);
      if (!scanRows(vectors_, rows, queries_, tail, from, to, &top)) fail(Failure::readFault);
      rest[thread] = std::move(top);
    } catch (const std::bad_alloc&) {
      fail(Failure::noMemory);
    }
  });
  if (isOver()) return;
  tops.insert(tops.end(), rest.begin(), rest.end());
  hits_ = merged(tops, request_.k);
}

Napi::Value CodesJob::answer(Napi::Env env) { return hitsValue(env, hits_); }

}  // namespace scan
