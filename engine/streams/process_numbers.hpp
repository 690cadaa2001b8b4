#pragma once

// Small numbers for those who have their turns at an upstream (mux::NewRequest::client): clients have the even ones, by
// their index; processes with streams the odd ones, one for all that a process has open as a member of one group.

#include <compare>
#include <cstdint>
#include <map>
#include <vector>

namespace tlsmux::engine::streams {

constexpr std::uint32_t turn_of_client(std::uint32_t client_index) { return 2 * client_index; }

class ProcessNumbers {
 public:
  struct Process {
    std::uint32_t pid = 0;  // 0: in another pid namespace; these are one
    std::uint32_t uid = 0;
    std::uint32_t group = 0;
    friend auto operator<=>(const Process&, const Process&) = default;
  };

  // As often as give_back().
  std::uint32_t take(const Process& process);
  void give_back(const Process& process);

 private:
  struct Use {
    std::uint32_t number = 0;
    std::uint32_t count = 0;
  };
  std::map<Process, Use> uses_;
  std::vector<std::uint32_t> free_;
  std::uint32_t next_ = 0;
};

inline std::uint32_t ProcessNumbers::take(const Process& process) {
  auto& use = uses_[process];
  if (use.count++ == 0) {
    if (free_.empty()) free_.push_back(next_++);
    use.number = free_.back();
    free_.pop_back();
  }
  return 2 * use.number + 1;
}

inline void ProcessNumbers::give_back(const Process& process) {
  const auto use = uses_.find(process);
  if (--use->second.count > 0) return;
  free_.push_back(use->second.number);
  uses_.erase(use);
}

}  // namespace tlsmux::engine::streams
