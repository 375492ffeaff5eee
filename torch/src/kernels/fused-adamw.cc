// AdamW by libtorch's own operator on lists, which reads and writes memory once: mobileclip::fused_adamw_. It has kernels
// for CUDA since 2.0, for processors since 2.4.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/stack.h>
#include <ATen/ops/full.h>
#include <torch/library.h>

#include <map>
#include <vector>

#include "adamw.h"

void AdamWLists::check() const {
  const size_t count = parameters.size();
  TORCH_CHECK(gradients.size() == count && firstMoments.size() == count && secondMoments.size() == count,
              "expected lists of one length, got ", count, " parameters, ", gradients.size(), " gradients, ",
              firstMoments.size(), " first and ", secondMoments.size(), " second moments");
  for (size_t i = 0; i < count; ++i) {
    const at::Tensor& parameter = parameters[i];
    for (const at::Tensor& tensor : at(i)) {
      TORCH_CHECK(tensor.sizes() == parameter.sizes() && tensor.scalar_type() == parameter.scalar_type() &&
                      tensor.device() == parameter.device(),
                  "parameter ", i, ", its gradient and its moments must be of one shape, dtype and device, got ",
                  parameter.toString(), parameter.sizes(), " and ", tensor.toString(), tensor.sizes());
      TORCH_CHECK(!at::GradMode::is_enabled() || !tensor.requires_grad(), "parameter ", i,
                  " requires gradients: the update is not recorded, so it belongs inside noGrad");
    }
  }
}

void AdamWLists::bumpVersions() const {
  for (at::TensorList changed : {parameters, firstMoments, secondMoments})
    for (const at::Tensor& tensor : changed) tensor.unsafeGetTensorImpl()->bump_version();
}

bool isOfOneLayout(const at::Tensor& a, const at::Tensor& b) {
  for (int64_t d = 0; d < a.dim(); ++d)
    if (a.size(d) > 1 && a.stride(d) != b.stride(d)) return false;
  return true;
}

namespace {

// Its kernels are those of processors and of CUDA, by version.
bool hasKernel(const c10::OperatorHandle& handle, const at::Tensor& tensor) {
  if (!tensor.is_cpu() && !tensor.is_cuda()) return false;
  return handle.hasKernelForDispatchKey(tensor.is_cuda() ? c10::DispatchKey::CUDA : c10::DispatchKey::CPU);
}

bool isForLibtorch(const AdamWLists& lists) {
  for (size_t i = 0; i < lists.parameters.size(); ++i) {
    for (const at::Tensor& tensor : lists.at(i)) {
      const at::Tensor& first = lists.parameters[0];
      const bool plain = tensor.layout() == at::kStrided && !tensor.is_neg() && at::isFloatingType(tensor.scalar_type());
      if (!plain || tensor.scalar_type() != first.scalar_type() || tensor.device() != first.device() ||
          !tensor.is_non_overlapping_and_dense() || !isOfOneLayout(tensor, lists.parameters[i]))
        return false;
    }
  }
  return true;
}

// libtorch compares strides, also of dimensions of one, in which a gradient of a convolution may differ.
std::vector<at::Tensor> inStridesOf(at::TensorList parameters, at::TensorList tensors) {
  std::vector<at::Tensor> result;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const bool same = tensors[i].strides() == parameters[i].strides();
    result.push_back(same ? tensors[i] : tensors[i].as_strided(parameters[i].sizes(), parameters[i].strides()));
  }
  return result;
}

using Given = std::map<std::string, c10::IValue>;

// In the order of the schema, which differs among versions; empty where it asks for more without a default.
torch::jit::Stack inOrder(const c10::FunctionSchema& schema, const Given& given) {
  torch::jit::Stack stack;
  for (const c10::Argument& argument : schema.arguments()) {
    const auto found = given.find(argument.name());
    if (found == given.end() && !argument.default_value()) return {};
    stack.push_back(found == given.end() ? *argument.default_value() : found->second);
  }
  return stack;
}

// False, and nothing changed, where this libtorch has no such operator, or where the tensors are not all of one dtype and
// device, each dense and in one layout with its gradient and moments.
bool fusedAdamW(at::TensorList parameters, at::TensorList gradients, at::TensorList firstMoments,
                at::TensorList secondMoments, double learningRate, double beta1, double beta2, double eps,
                double weightDecay, int64_t updates) {
  const AdamWLists lists{parameters, gradients, firstMoments, secondMoments};
  TORCH_CHECK(updates > 0, "expected updates from 1, got ", updates);
  lists.check();
  const auto handle = c10::Dispatcher::singleton().findSchema({"aten::_fused_adamw_", ""});
  if (!handle || parameters.empty() || !hasKernel(*handle, parameters[0]) || !isForLibtorch(lists)) return false;
  const auto list = [&](at::TensorList tensors) { return c10::IValue(inStridesOf(parameters, tensors)); };
  // float32 holds every whole number up to 2^24.
  const at::Tensor steps = at::full({}, static_cast<double>(updates), parameters[0].options().dtype(at::kFloat));
  torch::jit::Stack stack = inOrder(
      handle->schema(), {{"self", list(parameters)},
                         {"grads", list(gradients)},
                         {"exp_avgs", list(firstMoments)},
                         {"exp_avg_sqs", list(secondMoments)},
                         {"max_exp_avg_sqs", c10::IValue(std::vector<at::Tensor>())},
                         {"state_steps", c10::IValue(std::vector<at::Tensor>(parameters.size(), steps))},
                         {"lr", learningRate},
                         {"beta1", beta1},
                         {"beta2", beta2},
                         {"weight_decay", weightDecay},
                         {"eps", eps},
                         {"amsgrad", false},
                         {"maximize", false}});
  if (stack.empty()) return false;
  handle->callBoxed(&stack);
  lists.bumpVersions();
  return true;
}

TORCH_LIBRARY_FRAGMENT(mobileclip, library) {
  library.def(
      "fused_adamw_(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] first_moments, Tensor(c!)[] second_moments, "
      "float learning_rate, float beta1, float beta2, float eps, float weight_decay, int updates) -> bool",
      fusedAdamW);
}

}  // namespace
