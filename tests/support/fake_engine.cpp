#include "tests/support/fake_engine.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "shm/assert.hpp"
#include "tests/support/fake_engine_loop.hpp"

namespace tlsmux::test {

FakeEngineNames::FakeEngineNames() {
  static std::atomic<int> count = 0;
  group_ = "fake-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
  socket_ = "/tmp/tlsmux-" + group_ + ".sock";
}

FakeEngineNames::~FakeEngineNames() {
  shm::remove_group_object(group_);
  ::unlink(socket_.c_str());
}

FakeEngineOptions FakeEngineNames::options() const {
  FakeEngineOptions options;
  options.group = group_;
  options.control_socket = socket_;
  return options;
}

ThreadEngine::ThreadEngine(const FakeEngineOptions& options)
    : loop_(std::make_unique<FakeEngineLoop>(options)), thread_([this] { loop_->run(); }) {}

ThreadEngine::~ThreadEngine() {
  loop_->stop();
  thread_.join();
}

void ThreadEngine::in_loop(const std::function<void()>& action) { loop_->in_loop(action); }

void ThreadEngine::publish_withheld() {
  in_loop([&] {
    for (auto& client : loop_->clients()) {
      for (auto& channel : client.channels) channel.publish_withheld();
    }
  });
}

void ThreadEngine::detach_clients(const std::string& text) {
  in_loop([&] {
    for (auto& client : loop_->clients()) {
      shm::DetachedNotice notice;
      notice.error = EPROTO;
      shm::set_text(notice.text, text);
      TMX_ASSERT(shm::send_message(client.socket.get(), notice).has_value());
    }
    loop_->clients().clear();
  });
}

void ThreadEngine::hang_up() {
  in_loop([&] { loop_->clients().clear(); });
}

std::uint32_t ThreadEngine::clients() {
  std::uint32_t count = 0;
  in_loop([&] { count = static_cast<std::uint32_t>(loop_->clients().size()); });
  return count;
}

std::uint32_t ThreadEngine::channels() {
  std::uint32_t count = 0;
  in_loop([&] {
    for (auto& client : loop_->clients()) {
      for (auto& channel : client.channels) count += channel.open ? 1 : 0;
    }
  });
  return count;
}

std::uint32_t ThreadEngine::slots_held() {
  std::size_t count = 0;
  in_loop([&] {
    for (auto& client : loop_->clients()) {
      for (auto& channel : client.channels) count += channel.held.size() + channel.withheld.size();
    }
  });
  return static_cast<std::uint32_t>(count);
}

std::uint32_t ThreadEngine::pairs_lent() {
  std::size_t count = 0;
  in_loop([&] {
    for (auto& client : loop_->clients()) {
      for (auto& channel : client.channels) count += channel.lent.size();
    }
  });
  return static_cast<std::uint32_t>(count);
}

std::uint32_t ThreadEngine::flags() {
  std::uint32_t flags = 0;
  in_loop([&] {
    for (auto& client : loop_->clients()) {
      for (auto& channel : client.channels) flags |= channel.flags;
    }
  });
  return flags;
}

std::vector<ThreadEngine::Reply> ThreadEngine::replies() {
  std::vector<Reply> replies;
  in_loop([&] {
    for (auto& client : loop_->clients()) {
      for (auto& channel : client.channels) {
        for (const auto& [notice, text] : channel.replies) replies.push_back({notice, text});
      }
    }
  });
  return replies;
}

FakePortLog ThreadEngine::ports() {
  FakePortLog log;
  in_loop([&] { log = loop_->ports(); });
  return log;
}

ForkedEngine::ForkedEngine(const FakeEngineOptions& options, Begins begins) {
  std::array<int, 2> pair{};
  TMX_ASSERT(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
  command_ = shm::UniqueFd(pair[0]);
  shm::UniqueFd its_end(pair[1]);
  pid_ = ::fork();
  TMX_ASSERT(pid_ >= 0);
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    command_.reset();
    char byte = 0;
    if (::read(its_end.get(), &byte, 1) != 1) ::_exit(0);
    FakeEngineLoop loop(options);
    TMX_ASSERT(::write(its_end.get(), &byte, 1) == 1);
    its_end.reset();
    loop.run();
    ::_exit(0);
  }
  if (begins == Begins::now) begin();
}

void ForkedEngine::begin() {
  char byte = 0;
  TMX_ASSERT(::write(command_.get(), &byte, 1) == 1);
  TMX_ASSERT(::read(command_.get(), &byte, 1) == 1);
  command_.reset();
}

ForkedEngine::~ForkedEngine() {
  if (pid_ > 0) kill();
}

void ForkedEngine::signal(int number) const { TMX_ASSERT(::kill(pid_, number) == 0); }

void ForkedEngine::kill() {
  signal(SIGKILL);
  wait_dead();
}

void ForkedEngine::wait_dead() {
  TMX_ASSERT(::waitpid(pid_, nullptr, 0) == pid_);
  pid_ = -1;
}

}  // namespace tlsmux::test
