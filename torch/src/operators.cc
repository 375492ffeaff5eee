#include "operators.h"

#include <ATen/core/function_schema.h>
#include <ATen/core/stack.h>

#include "guard.h"

namespace {

std::string fullName(const c10::OperatorName& name) {
  return name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
}

int aliasedParameter(const c10::FunctionSchema& schema, const c10::Argument& result) {
  if (!result.alias_info() || !result.alias_info()->isWrite() || result.type()->kind() != c10::TypeKind::TensorType)
    return -1;
  const auto& arguments = schema.arguments();
  for (size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i].alias_info() && *arguments[i].alias_info() == *result.alias_info()) return static_cast<int>(i);
  return -1;
}

void requireOneLength(const Operator& op, const torch::jit::Stack& stack) {
  size_t length = 0;
  for (size_t i = 0; i < stack.size(); ++i) {
    if (!op.parameters[i].isList || !stack[i].isList()) continue;
    const size_t size = stack[i].toListRef().size();
    if (i > 0 && size != length) {
      throw std::invalid_argument("argument \"" + op.parameters[i].name + "\": expected " + std::to_string(length) +
                                  " values as in \"" + op.parameters[0].name + "\", got " + std::to_string(size));
    }
    length = size;
  }
}

torch::jit::Stack argumentsOf(const State& state, const Operator& op, const Napi::CallbackInfo& info) {
  const size_t given = info.Length() - 1;
  if (given > op.parameters.size()) {
    throw std::invalid_argument("takes at most " + std::to_string(op.parameters.size()) + " arguments, got " +
                                std::to_string(given));
  }
  torch::jit::Stack stack;
  stack.reserve(op.parameters.size());
  for (size_t i = 0; i < op.parameters.size(); ++i)
    stack.push_back(toIValue(state, op.parameters[i], i < given ? info[i + 1] : Napi::Value()));
  if (op.listsMatch) requireOneLength(op, stack);
  return stack;
}

Napi::Value resultsOf(State& state, const Operator& op, const Napi::CallbackInfo& info, torch::jit::Stack& stack) {
  const Napi::Env env = info.Env();
  const auto result = [&](size_t i) -> Napi::Value {
    const int alias = op.aliases[i];
    return alias >= 0 ? info[alias + 1] : fromIValue(state, env, stack[i]);
  };
  if (stack.empty()) return env.Undefined();
  if (stack.size() == 1) return result(0);
  Napi::Array results = Napi::Array::New(env, stack.size());
  for (size_t i = 0; i < stack.size(); ++i) results.Set(static_cast<uint32_t>(i), result(i));
  return results;
}

// libtorch's messages go on with tables of kernels after an empty line.
std::string firstParagraph(const std::string& message) { return message.substr(0, message.find("\n\n")); }

std::string explain(const State& state, const Operator& op, const Napi::CallbackInfo& info, const std::string& what) {
  std::string text = op.name + ": " + firstParagraph(what) + "\n  schema: " + c10::str(op.handle.schema()) + "\n  given: ";
  for (size_t i = 1; i < info.Length(); ++i) text += (i > 1 ? ", " : "") + describe(state, info[i]);
  return text;
}

}  // namespace

Operator::Operator(c10::OperatorHandle operatorHandle)
    : handle(std::move(operatorHandle)),
      name(fullName(handle.operator_name())),
      listsMatch(name.rfind("aten::_foreach_", 0) == 0) {
  const c10::FunctionSchema& schema = handle.schema();
  for (const c10::Argument& argument : schema.arguments()) parameters.push_back(parameterOf(argument));
  for (const c10::Argument& result : schema.returns()) aliases.push_back(aliasedParameter(schema, result));
}

Napi::Value findOperator(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  State& state = State::of(env);
  const std::string name = info[0].As<Napi::String>().Utf8Value();
  const std::string overload = info[1].As<Napi::String>().Utf8Value();
  const auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
  if (!handle) return env.Null();

  const auto [entry, added] =
      state.operatorIds.try_emplace(name + "." + overload, static_cast<uint32_t>(state.operators.size()));
  if (added) {
    try {
      state.operators.push_back(std::make_unique<Operator>(*handle));
    } catch (...) {
      state.operatorIds.erase(entry);
      throw std::invalid_argument(name + "." + overload + ": " + messageOf(std::current_exception()) +
                                  "\n  schema: " + c10::str(handle->schema()));
    }
  }
  const Operator& op = *state.operators[entry->second];
  Napi::Array parameters = Napi::Array::New(env, op.parameters.size());
  for (size_t i = 0; i < op.parameters.size(); ++i)
    parameters.Set(static_cast<uint32_t>(i), Napi::String::New(env, op.parameters[i].name));
  Napi::Object found = Napi::Object::New(env);
  found.Set("id", Napi::Number::New(env, entry->second));
  found.Set("schema", c10::str(op.handle.schema()));
  found.Set("parameters", parameters);
  return found;
}

Napi::Value callOperator(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  const uint32_t id = info[0].As<Napi::Number>().Uint32Value();
  if (id >= state.operators.size()) throw std::invalid_argument("no operator has this id");
  const Operator& op = *state.operators[id];
  try {
    torch::jit::Stack stack = argumentsOf(state, op, info);
    op.handle.callBoxed(&stack);
    return resultsOf(state, op, info, stack);
  } catch (...) {
    throw std::runtime_error(explain(state, op, info, messageOf(std::current_exception())));
  }
}

Napi::Value operatorNames(const Napi::CallbackInfo& info) {
  const std::vector<c10::OperatorName> names = c10::Dispatcher::singleton().getAllOpNames();
  Napi::Array array = Napi::Array::New(info.Env());
  for (const c10::OperatorName& name : names) array.Set(array.Length(), Napi::String::New(info.Env(), fullName(name)));
  return array;
}
