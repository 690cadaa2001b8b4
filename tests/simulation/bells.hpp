#pragma once

// Eventfds as io_uring serves them to the engine: real ones, since clients write and read them, but with nobody's
// threads in between.

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "engine/shard/bells.hpp"
#include "engine/shard/shard.hpp"
#include "tests/simulation/context.hpp"

namespace tlsmux::simulation {

// What is in the count of an eventfd that does not block; 0 afterwards.
std::uint64_t take_count(int eventfd);

class Bells final : public engine::Bells {
 public:
  explicit Bells(Context& context) : context_(context) {}

  void watch(std::uint32_t client_index, int descriptor) override;
  void unwatch(std::uint32_t client_index) override;
  void wake(std::uint32_t channel_ref, int descriptor) override;

  // Writes one wake. False: there is none to be written.
  bool step();

  [[nodiscard]] bool has_wakes() const { return !wakes_.empty(); }

  [[nodiscard]] bool is_any_watched() const { return !watched_.empty(); }
  // Looks at all watched descriptors, too.
  bool has_news();
  bool tell(engine::Shard& shard);

 private:
  struct Wake {
    std::uint32_t channel_ref = 0;
    int descriptor = -1;
  };

  template <typename News>
  std::vector<News> take_some(std::vector<News>& news);

  Context& context_;
  std::map<std::uint32_t, int> watched_;  // by client index, as is unwatched_
  std::vector<std::uint32_t> rung_;
  std::vector<std::pair<std::uint32_t, int>> unwatched_;
  std::vector<Wake> wakes_;  // on their way
  std::vector<Wake> woken_;  // written, which the engine does not know yet
};

}  // namespace tlsmux::simulation
