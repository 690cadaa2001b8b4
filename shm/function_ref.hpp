#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace tlsmux::shm {

template <typename Signature>
class FunctionRef;

// Names a callable for the length of one call: two words, no allocation, no ownership. Take it by value as a
// parameter and never keep it, since the callable may be a temporary of the caller's. It is never empty.
template <typename Result, typename... Arguments>
class FunctionRef<Result(Arguments...)> {
 public:
  template <typename Callable>
    requires(!std::same_as<std::remove_cvref_t<Callable>, FunctionRef> &&
             !std::is_function_v<std::remove_reference_t<Callable>> &&
             std::is_invocable_r_v<Result, std::remove_reference_t<Callable>&, Arguments...>)
  FunctionRef(Callable&& callable)  // implicit, so that a lambda can be passed as it stands
      : callable_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
        invoke_(&invoke<std::remove_reference_t<Callable>>) {}

  Result operator()(Arguments... arguments) const { return invoke_(callable_, std::forward<Arguments>(arguments)...); }

 private:
  template <typename Callable>
  static Result invoke(void* callable, Arguments... arguments) {
    return std::invoke(*static_cast<Callable*>(callable), std::forward<Arguments>(arguments)...);
  }

  void* callable_;
  Result (*invoke_)(void*, Arguments...);
};

}  // namespace tlsmux::shm
