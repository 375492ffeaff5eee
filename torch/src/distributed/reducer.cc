#include "reducer.h"

#ifdef USE_C10D_GLOO

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>

#include <algorithm>

using torch::autograd::variable_list;

Reducer::Reducer(c10::intrusive_ptr<Group> group, std::vector<at::Tensor> parameters, int64_t bucketBytes)
    : group_(std::move(group)), parameters_(std::move(parameters)), bucketBytes_(bucketBytes) {
  for (const at::Tensor& parameter : parameters_) {
    group_->require(parameter);
    if (!parameter.is_leaf() || !parameter.requires_grad())
      throw std::invalid_argument("expected parameters: leaves that require gradients");
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    accumulators_.push_back(torch::autograd::impl::grad_accumulator(parameters_[i]));
    const auto hook = [this, i](const variable_list& outputs, const variable_list&) {
      arrived(i);
      return outputs;
    };
    hooks_.push_back(accumulators_[i]->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(hook)));
  }
}

Reducer::~Reducer() {
  for (size_t i = 0; i < hooks_.size(); ++i) accumulators_[i]->del_post_hook(hooks_[i]);
}

void Reducer::arm() {
  armed_ = true;
  arrived_.assign(parameters_.size(), false);
  next_ = 0;
  order_.clear();
  for (Bucket& bucket : buckets_) {
    bucket.missing = bucket.members.size();
    bucket.work.reset();
  }
}

void Reducer::arrived(size_t index) {
  if (!armed_) return;
  if (arrived_[index]) throw std::logic_error("a gradient came twice after arm(): arm before the last backward pass");
  arrived_[index] = true;
  if (buckets_.empty()) {
    order_.push_back(static_cast<int64_t>(index));
    return;
  }
  fill(index);
  sendComplete();
}

void Reducer::finish() {
  if (!armed_) throw std::logic_error("finish() without arm()");
  armed_ = false;
  const at::NoGradGuard noGrad;
  for (const at::Tensor& parameter : parameters_) {
    if (!parameter.grad().defined())
      throw std::invalid_argument("a parameter of shape " + c10::str(parameter.sizes()) + " got no gradient");
  }
  if (buckets_.empty()) {
    makeBuckets();
    arrived_.assign(parameters_.size(), false);
  }
  for (size_t i = 0; i < parameters_.size(); ++i)
    if (!arrived_[i]) fill(i);
  sendComplete();
  for (Bucket& bucket : buckets_) {
    group_->wait(*bucket.work);
    bucket.work.reset();
    for (size_t k = 0; k < bucket.members.size(); ++k)
      parameters_[bucket.members[k]].mutable_grad() = bucket.views[k];
  }
}

void Reducer::fill(size_t index) {
  const at::NoGradGuard noGrad;
  const auto [bucket, member] = places_[index];
  const at::Tensor gradient = parameters_[index].grad();
  const at::Tensor& view = buckets_[bucket].views[member];
  // It is the view already where gradients were not dropped since the last step.
  if (gradient.data_ptr() != view.data_ptr()) view.copy_(gradient);
  --buckets_[bucket].missing;
}

void Reducer::sendComplete() {
  const at::NoGradGuard noGrad;
  for (; next_ < buckets_.size() && buckets_[next_].missing == 0; ++next_) {
    Bucket& bucket = buckets_[next_];
    bucket.flat.mul_(1.0 / group_->size);
    bucket.work = group_->sum(bucket.flat);
  }
}

// Rank 0's, so that ranks whose passes ran in another order still send equal buckets.
std::vector<int64_t> Reducer::agreedOrder() {
  for (size_t i = 0; i < parameters_.size(); ++i)
    if (!arrived_[i]) order_.push_back(static_cast<int64_t>(i));
  at::Tensor values = at::empty({static_cast<int64_t>(order_.size())}, at::kLong);
  std::copy(order_.begin(), order_.end(), values.data_ptr<int64_t>());
  values = values.to(parameters_[0].device());
  group_->wait(*group_->broadcast(values));
  values = values.to(at::kCPU);
  return {values.data_ptr<int64_t>(), values.data_ptr<int64_t>() + order_.size()};
}

void Reducer::makeBuckets() {
  places_.resize(parameters_.size());
  int64_t bytes = 0;
  for (const int64_t index : agreedOrder()) {
    const at::Tensor& parameter = parameters_.at(index);
    const bool fits = !buckets_.empty() && bytes < bucketBytes_ &&
                      parameters_[buckets_.back().members[0]].scalar_type() == parameter.scalar_type();
    if (!fits) {
      buckets_.emplace_back();
      bytes = 0;
    }
    bytes += static_cast<int64_t>(parameter.nbytes());
    Bucket& bucket = buckets_.back();
    places_[index] = {buckets_.size() - 1, bucket.members.size()};
    bucket.members.push_back(static_cast<size_t>(index));
  }
  for (Bucket& bucket : buckets_) allocate(bucket);
}

void Reducer::allocate(Bucket& bucket) {
  int64_t elements = 0;
  for (const size_t index : bucket.members) elements += parameters_[index].numel();
  bucket.flat = at::empty({elements}, parameters_[bucket.members[0]].options().requires_grad(false));
  int64_t offset = 0;
  for (const size_t index : bucket.members) {
    const at::Tensor& parameter = parameters_[index];
    bucket.views.push_back(bucket.flat.narrow(0, offset, parameter.numel()).view(parameter.sizes()));
    offset += parameter.numel();
  }
  bucket.missing = bucket.members.size();
}

#endif
