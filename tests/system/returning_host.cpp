#include "tests/system/returning_host.hpp"

#include <utility>

namespace tlsmux::test {

ReturningHost::ReturningHost(const TemporaryFolder& folder, const std::string& name, std::vector<std::string> arguments)
    : record_(folder.path() + "/record-" + name), arguments_(std::move(arguments)) {
  arguments_.insert(arguments_.end(), {"--record", record_, "--message-bytes-max", "65535"});
  process_ = std::make_unique<host::HostProcess>(arguments_);
  arguments_.insert(arguments_.end(), {"--listen", process_->address()});
}

void ReturningHost::kill_and_restart() {
  process_->kill();
  process_ = std::make_unique<host::HostProcess>(arguments_);
}

}  // namespace tlsmux::test
