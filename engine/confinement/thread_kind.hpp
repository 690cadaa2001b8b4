#pragma once

// The engine's threads, as far as confinement tells them apart.

#include <array>
#include <cstdint>
#include <string_view>

namespace tlsmux::engine::confinement {

enum class ThreadKind : std::uint8_t { control, data_loop, worker, resolver, wrapper, log };

inline constexpr std::array kThreadKinds{ThreadKind::control,  ThreadKind::data_loop, ThreadKind::worker,
                                         ThreadKind::resolver, ThreadKind::wrapper,   ThreadKind::log};

// Unique, and what a breach of the rules is logged with, unless the thread has another name.
constexpr std::string_view name(ThreadKind kind) {
  switch (kind) {
    case ThreadKind::control: return "control";
    case ThreadKind::data_loop: return "data_loop";
    case ThreadKind::worker: return "worker";
    case ThreadKind::resolver: return "resolver";
    case ThreadKind::wrapper: return "wrapper";
    case ThreadKind::log: return "log";
  }
  return "unknown";
}

}  // namespace tlsmux::engine::confinement
