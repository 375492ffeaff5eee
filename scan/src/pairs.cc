#include "pairs.h"

#include <algorithm>
#include <atomic>

#include "guard.h"

namespace scan {
namespace {

// By how much a product in tiles and one in a scan may differ, which sum in another order: much more than they do.
constexpr float kRounding = 1e-4f;
// More are not an answer, and would take all memory.
constexpr size_t kMostPairs = size_t{1} << 25;

struct PanelWork {
  const Kernel* kernel;
  const uint16_t* rows;
  size_t dim;
  size_t count;
  size_t tile;
  float* loose;
  float* out;
};

// Rows [count, dim] -> panels [ceil(count / tile), dim, tile]; what fills up the last one is zero.
void packPanels(const PanelWork& work) {
  for (size_t first = 0; first < work.count; first += work.tile) {
    float* panel = work.out + first * work.dim;
    for (size_t lane = 0; lane < work.tile; lane++) {
      if (first + lane < work.count) {
        work.kernel->widen(work.rows + (first + lane) * work.dim, work.dim, work.loose);
        for (size_t i = 0; i < work.dim; i++) panel[i * work.tile + lane] = work.loose[i];
      } else {
        for (size_t i = 0; i < work.dim; i++) panel[i * work.tile + lane] = 0;
      }
    }
  }
}

void widenRow(const PanelWork& work) { work.kernel->widen(work.rows, work.dim, work.out); }

size_t filled(size_t count, size_t tile) { return (count + tile - 1) / tile * tile; }

Napi::Value numbers(Napi::Env env, const std::vector<Pair>& pairs, uint32_t Pair::*field) {
  auto array = Napi::Uint32Array::New(env, pairs.size());
  for (size_t i = 0; i < pairs.size(); i++) array[i] = pairs[i].*field;
  return array;
}

}  // namespace

PairsJob::PairsJob(Vectors vectors, PairsRequest request, Napi::Reference<Napi::Int32Array> state)
    : vectors_(std::move(vectors)),
      request_(std::move(request)),
      state_(std::move(state)),
      shared_(state_.Value().Data()) {}

void PairsJob::run() {
  if (request_.count == 0) return;
  const auto mapping = mapped(*vectors_.file, vectors_.bytesOf(request_.count));
  if (!mapping) return;
  const uint16_t* rows = vectors_.rowsIn(*mapping);
  const size_t blocks = (request_.count + kRows - 1) / kRows;
  std::atomic<size_t> next{0};
  inThreads(std::min(request_.threads, blocks), [&](size_t) {
    for (size_t i; !isOver() && (i = next++) < blocks;) blockRow(rows, i);
  });
  if (isOver()) return;
  std::sort(pairs_.begin(), pairs_.end(), [](const Pair& x, const Pair& y) { return x.a < y.a || (x.a == y.a && x.b < y.b); });
}

// Block i with itself and with all blocks after it.
void PairsJob::blockRow(const uint16_t* rows, size_t i) {
  const Kernel& kernel = *vectors_.kernel;
  const size_t dim = vectors_.dim;
  std::vector<float> loose(filled(dim, kLanes));
  std::vector<float> left(filled(kRows, kernel.tileRows) * dim), right(filled(kRows, kernel.tileColumns) * dim);
  std::vector<Pair> near;
  const Block a{i * kRows, std::min(kRows, request_.count - i * kRows)};
  if (!pack(rows, a, kernel.tileRows, loose, left)) return fail(Failure::readFault);
  for (size_t first = a.first; first < request_.count && !isOver(); first += kRows) {
    if (isAsked()) return fail(Failure::cancelled);
    const Block b{first, std::min(kRows, request_.count - first)};
    if (!pack(rows, b, kernel.tileColumns, loose, right)) return fail(Failure::readFault);
    compare(a, b, left.data(), right.data(), near);
    if (near.size() > kMostPairs) return fail(Failure::tooManyPairs);
    __atomic_fetch_add(shared_ + 1, 1, __ATOMIC_RELAXED);
  }
  keep(rows, loose, near);
}

bool PairsJob::pack(const uint16_t* rows, const Block& block, size_t tile, std::vector<float>& loose,
                    std::vector<float>& panels) {
  const uint16_t* first = rows + block.first * vectors_.dim;
  return guarded(packPanels, PanelWork{vectors_.kernel, first, vectors_.dim, block.count, tile, loose.data(), panels.data()});
}

// Adds the pairs of two blocks that may be near enough.
void PairsJob::compare(const Block& a, const Block& b, const float* left, const float* right, std::vector<Pair>& near) {
  const Kernel& kernel = *vectors_.kernel;
  const float least = request_.threshold - kRounding;
  float products[kMostTileRows * kMostTileColumns];
  for (size_t c = 0; c < b.count; c += kernel.tileColumns) {
    for (size_t r = 0; r < a.count; r += kernel.tileRows) {
      kernel.tile(left + r * vectors_.dim, right + c * vectors_.dim, vectors_.dim, products);
      for (size_t t = 0; t < kernel.tileRows * kernel.tileColumns; t++) {
        if (!(products[t] >= least)) continue;
        const size_t y = r + t / kernel.tileColumns, x = c + t % kernel.tileColumns;
        const size_t row = a.first + y, column = b.first + x;
        if (y < a.count && x < b.count && row < column && request_.mask.has(row) && request_.mask.has(column))
          near.push_back({static_cast<uint32_t>(row), static_cast<uint32_t>(column), 0});
      }
    }
  }
}

// Keeps those whose score is high enough: the same number as in a scan whose query is row a.
void PairsJob::keep(const uint16_t* rows, std::vector<float>& query, std::vector<Pair>& near) {
  std::fill(query.begin(), query.end(), 0.0f);
  for (Pair& pair : near) {
    const PanelWork work{vectors_.kernel, rows + size_t{pair.a} * vectors_.dim, vectors_.dim, 1, 1, nullptr, query.data()};
    if (!guarded(widenRow, work) || !scoreRows(vectors_, rows, query.data(), &pair.b, 1, &pair.score))
      return fail(Failure::readFault);
  }
  std::lock_guard<std::mutex> lock(mutex_);
  for (const Pair& pair : near)
    if (pair.score >= request_.threshold) pairs_.push_back(pair);
  if (pairs_.size() > kMostPairs) fail(Failure::tooManyPairs);
}

Napi::Value PairsJob::answer(Napi::Env env) {
  std::vector<float> scores;
  for (const Pair& pair : pairs_) scores.push_back(pair.score);
  auto object = Napi::Object::New(env);
  object["a"] = numbers(env, pairs_, &Pair::a);
  object["b"] = numbers(env, pairs_, &Pair::b);
  object["scores"] = floatsValue(env, scores);
  return object;
}

}  // namespace scan
