#include "group.h"

#ifdef USE_C10D_GLOO

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <cstdlib>

#include "convert.h"
#include "guard.h"

namespace {

// Newer libtorch serve the store with libuv unless told otherwise, also those that were built without it.
template <typename Options>
auto withoutLibUv(Options& options, int) -> decltype(void(options.useLibUV)) {
  options.useLibUV = false;
}
template <typename Options>
void withoutLibUv(Options&, long) {}

// c10d's server listens on all interfaces and knows no password. A file is open to those who may read its folder.
c10::intrusive_ptr<c10d::Store> storeInFile(const Rendezvous& rendezvous) {
  const auto store = c10::make_intrusive<c10d::FileStore>(rendezvous.file, rendezvous.size);
  store->setTimeout(rendezvous.timeout);
  const auto keyOf = [](int rank) { return "joined/" + std::to_string(rank); };
  std::vector<std::string> keys;
  for (int rank = 0; rank < rendezvous.size; ++rank) keys.push_back(keyOf(rank));
  store->set(keyOf(rendezvous.rank), std::vector<uint8_t>{1});
  store->wait(keys, rendezvous.timeout);
  return store;
}

c10::intrusive_ptr<c10d::Store> storeOf(const Rendezvous& rendezvous) {
  if (!rendezvous.file.empty()) return storeInFile(rendezvous);
  c10d::TCPStoreOptions options;
  options.port = rendezvous.port;
  options.isServer = rendezvous.rank == 0;
  options.numWorkers = rendezvous.size;
  options.timeout = rendezvous.timeout;
  withoutLibUv(options, 0);
  return c10::make_intrusive<c10d::TCPStore>(rendezvous.address, options);
}

bool isLoopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.rfind("127.", 0) == 0;
}

c10::intrusive_ptr<Backend> glooOf(const c10::intrusive_ptr<c10d::Store>& store, const Rendezvous& rendezvous) {
  using Gloo = c10d::ProcessGroupGloo;
  const auto options = Gloo::Options::create(rendezvous.timeout);
  const char* interface = rendezvous.file.empty() ? std::getenv("GLOO_SOCKET_IFNAME") : nullptr;
  // All ranks of a group that meets on the loopback interface are on this machine, whatever its host name resolves to.
  options->devices.push_back(interface                        ? Gloo::createDeviceForInterface(interface)
                             : isLoopback(rendezvous.address) ? Gloo::createDeviceForHostname(rendezvous.address)
                                                              : Gloo::createDefaultDevice());
  return c10::make_intrusive<Gloo>(store, rendezvous.rank, rendezvous.size, options);
}

c10::intrusive_ptr<Backend> backendOf(const c10::intrusive_ptr<c10d::Store>& store, const Rendezvous& rendezvous) {
  if (rendezvous.backend == "gloo") return glooOf(store, rendezvous);
#ifdef USE_C10D_NCCL
  if (rendezvous.backend == "nccl") {
    const auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = rendezvous.timeout;
    return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rendezvous.rank, rendezvous.size, options);
  }
#endif
  throw std::invalid_argument("the backend \"" + rendezvous.backend + "\" is not in this libtorch or its addon");
}

// The gradient of a rank's rows is the sum over ranks of what each makes of them.
struct Gather : public torch::autograd::Function<Gather> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& rows,
                            const c10::intrusive_ptr<Group>& group) {
    context->saved_data["group"] = c10::IValue::make_capsule(group);
    return group->gatherValues(rows);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto group = c10::static_intrusive_pointer_cast<Group>(context->saved_data["group"].toCapsule());
    const at::Tensor gradient = gradients[0].clone(at::MemoryFormat::Contiguous);
    group->wait(*group->sum(gradient));
    const int64_t rows = gradient.size(0) / group->size;
    return {gradient.narrow(0, group->rank * rows, rows), at::Tensor()};
  }
};

}  // namespace

Group::Group(const Rendezvous& rendezvous)
    : rank(rendezvous.rank),
      size(rendezvous.size),
      deviceType_(rendezvous.backend == "nccl" ? c10::kCUDA : c10::kCPU),
      timeout_(rendezvous.timeout),
      store_(storeOf(rendezvous)),
      backend_(backendOf(store_, rendezvous)) {}

Group::~Group() {
  backend_.release();
  store_.release();
}

void Group::close() {
  if (failed_) return;
  backend_.reset();
  store_.reset();
}

c10::intrusive_ptr<c10d::Work> Group::sum(at::Tensor tensor) {
  require(tensor);
  std::vector<at::Tensor> tensors{std::move(tensor)};
  return backend_->allreduce(tensors);
}

c10::intrusive_ptr<c10d::Work> Group::broadcast(at::Tensor tensor) {
  require(tensor);
  std::vector<at::Tensor> tensors{std::move(tensor)};
  return backend_->broadcast(tensors);
}

void Group::wait(c10d::Work& work) {
  try {
    work.wait();
  } catch (...) {
    failed_ = true;
    throw std::runtime_error("another rank was lost, or did not come within " + std::to_string(timeout_.count() / 1000) +
                             " seconds: " + messageOf(std::current_exception()));
  }
}

at::Tensor Group::gather(const at::Tensor& rows) {
  return Gather::apply(rows, c10::intrusive_ptr<Group>::reclaim_copy(this));
}

at::Tensor Group::gatherValues(const at::Tensor& rows) {
  if (rows.dim() == 0) throw std::invalid_argument("expected rows, got a tensor of shape []");
  std::vector<at::Tensor> inputs{rows.detach().contiguous()};
  require(inputs[0]);
  std::vector<int64_t> shape = rows.sizes().vec();
  shape[0] *= size;
  const at::Tensor output = at::empty(shape, inputs[0].options());
  std::vector<std::vector<at::Tensor>> outputs(1);
  for (int64_t i = 0; i < size; ++i) outputs[0].push_back(output.narrow(0, i * rows.size(0), rows.size(0)));
  wait(*backend_->allgather(outputs, inputs));
  return output;
}

void Group::require(const at::Tensor& tensor) const {
  if (!backend_) throw std::logic_error("the process group is closed");
  if (failed_) throw std::runtime_error("an earlier operation of the process group has failed");
  const bool possible = tensor.device().type() == deviceType_ && tensor.layout() == at::kStrided &&
                        tensor.is_contiguous() && !(tensor.is_cpu() && tensor.scalar_type() == at::kBFloat16);
  if (possible) return;
  throw std::invalid_argument("expected a contiguous tensor on " + c10::DeviceTypeName(deviceType_, true) +
                              (deviceType_ == c10::kCPU ? ", not of bfloat16" : "") + ", got " +
                              nameOf(tensor.scalar_type()) + c10::str(tensor.sizes()) + " on " + tensor.device().str());
}

#endif
