// Gradients become their mean over ranks while the backward pass still runs: as soon as all gradients of a bucket are
// there, it is sent. Hooks on the parameters' accumulators tell when. (c10d's own Reducer wants every parameter in the
// graph of one backward pass; with gradient caching a parameter may have got its gradient in an earlier one.)
#pragma once

#include "group.h"

#ifdef USE_C10D_GLOO
#include <torch/csrc/autograd/variable.h>

class Reducer {
 public:
  // The parameters are leaves that require gradients, on one device; the same ones in one order on all ranks.
  Reducer(c10::intrusive_ptr<Group> group, std::vector<at::Tensor> parameters, int64_t bucketBytes);
  ~Reducer();
  Reducer(const Reducer&) = delete;
  Reducer& operator=(const Reducer&) = delete;

  // From now on a gradient that accumulates is complete.
  void arm();
  // Sends what no hook told of, waits, and leaves the means in `grad`. Throws when a parameter has no gradient.
  void finish();

 private:
  struct Bucket {
    std::vector<size_t> members;
    at::Tensor flat;
    std::vector<at::Tensor> views;  // of `flat`, one per member
    size_t missing;
    c10::intrusive_ptr<c10d::Work> work;
  };
  struct Place {
    size_t bucket, member;
  };

  void arrived(size_t index);
  void fill(size_t index);
  void sendComplete();
  void makeBuckets();
  std::vector<int64_t> agreedOrder();
  void allocate(Bucket& bucket);

  const c10::intrusive_ptr<Group> group_;
  const std::vector<at::Tensor> parameters_;
  const int64_t bucketBytes_;
  // Nodes are counted in themselves since libtorch 2.13, by shared_ptr before.
  using AccumulatorPtr = decltype(torch::autograd::impl::grad_accumulator(std::declval<const at::Tensor&>()));
  std::vector<AccumulatorPtr> accumulators_;
  std::vector<uintptr_t> hooks_;

  // In the order in which gradients arrived in the first pass. That pass sends nothing before its end, so that every
  // step has the same buckets: which values are summed together decides the last bits for more than two ranks.
  std::vector<Bucket> buckets_;
  std::vector<Place> places_;  // of each parameter
  std::vector<int64_t> order_;

  bool armed_ = false;
  std::vector<bool> arrived_;
  size_t next_ = 0;  // the bucket to send next: one order on all ranks
};
#endif
