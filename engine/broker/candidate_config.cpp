#include "engine/broker/candidate_config.hpp"

#include <cerrno>
#include <utility>

#include "config/config_file.hpp"
#include "shm/system/sealed_text.hpp"

namespace tlsmux::engine::broker {
namespace {

std::expected<CandidateConfig::Loaded, shm::SystemError> loaded(bool is_refused, std::string_view text) {
  auto fd = shm::make_sealed_text(text);
  if (!fd) return std::unexpected(fd.error());
  return CandidateConfig::Loaded{.is_refused = is_refused, .text = std::move(*fd)};
}

}  // namespace

std::expected<CandidateConfig::Loaded, shm::SystemError> CandidateConfig::load() {
  drop();
  if (path_.empty()) {
    return std::unexpected(shm::SystemError{.code = ENOENT, .message = "there is no configuration file to read again"});
  }
  const auto bundle = config::read_trusted_bundle(path_);
  if (!bundle) return loaded(true, config::format_errors(path_, bundle.error()));
  const auto errors = config::find_errors(*bundle);
  if (!errors.empty()) return loaded(true, config::format_errors(path_, errors));
  auto config = config::load_bundle(*bundle);
  if (!config) return loaded(true, config::format_errors(path_, config.error()));
  auto result = loaded(false, config::serialise(*bundle));
  if (!result) return result;
  const auto served = locks_->take_for(*config);
  if (!served.empty()) return loaded(true, config::format_errors(path_, served));
  if (ports_ != nullptr) {
    if (const auto impossible = ports_->find_errors(*config, present_); !impossible.empty()) {
      drop();
      return loaded(true, config::format_errors(path_, impossible));
    }
  }
  candidate_ = std::move(*config);
  return result;
}

const GroupLock* CandidateConfig::added(std::uint32_t index) const {
  const bool exists = candidate_ && index < candidate_->groups.size();
  return exists ? locks_->added(candidate_->groups[index].name) : nullptr;
}

bool CandidateConfig::adopt() {
  if (!candidate_) return false;
  locks_->adopt(*candidate_);
  *present_ = std::move(*candidate_);
  candidate_.reset();
  return true;
}

void CandidateConfig::drop() {
  locks_->drop();
  candidate_.reset();
}

}  // namespace tlsmux::engine::broker
