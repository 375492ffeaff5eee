// A group of processes that compute together, over c10d. Where libtorch was built without it, only the functions for
// JavaScript exist, and they throw.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/custom_class.h>

#include <chrono>
#include <string>
#include <vector>

#ifdef USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include "version.h"

#if TORCH_AT_LEAST(2, 0)
#include <torch/csrc/distributed/c10d/Backend.hpp>
using Backend = c10d::Backend;
#else
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
using Backend = c10d::ProcessGroup;
#endif

struct Rendezvous {
  std::string backend;  // "gloo", "nccl"
  std::string address;  // of rank 0
  uint16_t port;
  std::string file;  // all ranks are on this machine and meet in it: no port is opened for that; empty: at the address
  int rank, size;
  std::chrono::milliseconds timeout;  // of joining, and of each operation
};

// Operations must come in one order on all ranks, with equal shapes. All of them throw when another rank is lost.
class Group : public torch::CustomClassHolder {
 public:
  explicit Group(const Rendezvous& rendezvous);
  ~Group() override;

  const int rank, size;

  // Begin; wait(...) ends them. The tensor becomes the sum over ranks, or rank 0's.
  c10::intrusive_ptr<c10d::Work> sum(at::Tensor tensor);
  c10::intrusive_ptr<c10d::Work> broadcast(at::Tensor tensor);
  void wait(c10d::Work& work);
  // Whether an operation has failed: the group is of no more use.
  bool failed() const { return failed_; }

  // [n, ...] -> [size * n, ...] in the order of ranks; differentiable.
  at::Tensor gather(const at::Tensor& rows);
  at::Tensor gatherValues(const at::Tensor& rows);

  // Throws std::invalid_argument for a tensor that the backend cannot send.
  void require(const at::Tensor& tensor) const;

  // Leaves the group. Without it, or after a failure, the connections stay until the process ends: taking them down waits
  // for operations whose partners may be gone.
  void close();

 private:
  const c10::DeviceType deviceType_;
  const std::chrono::milliseconds timeout_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<Backend> backend_;
  bool failed_ = false;
};
#endif
