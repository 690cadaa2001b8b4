// The host that everything is measured against: sends each message back, as said in bench/message.hpp.
//
// Says "listening ADDRESS:PORT". For each byte it reads from its standard input it says
// "counted HANDSHAKES RESUMED MESSAGES ERRORS". Ends when that input does.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <deque>
#include <stdexcept>
#include <string>
#include <thread>

#include "bench/host/tally.hpp"
#include "bench/host/tls.hpp"
#include "bench/host/worker.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace {

using namespace tlsmux;

constexpr int kBacklog = 4096;

shm::UniqueFd listen_on_loopback() {
  shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    throw std::runtime_error(shm::last_error("listening").message);
  }
  return socket;
}

unsigned port_of(const shm::UniqueFd& socket) {
  sockaddr_in address{};
  socklen_t bytes = sizeof address;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &bytes);
  return ntohs(address.sin_port);
}

// Hands connections out to the workers in turn, so that each gets the same number of those that come together.
void accept_all(const shm::UniqueFd& listener, std::deque<bench::HostWorker>& workers, std::size_t& turn) {
  for (;;) {
    shm::UniqueFd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) return;
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    workers[turn++ % workers.size()].adopt(std::move(socket));
  }
}

void serve(const shm::UniqueFd& listener, std::deque<bench::HostWorker>& workers, const bench::HostTally& tally) {
  std::size_t turn = 0;
  pollfd watched[] = {{.fd = listener.get(), .events = POLLIN, .revents = 0},
                      {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}};
  while (::poll(watched, 2, -1) >= 0) {
    if (watched[0].revents != 0) accept_all(listener, workers, turn);
    if (watched[1].revents == 0) continue;
    char word = 0;
    if (::read(STDIN_FILENO, &word, 1) != 1) return;
    std::printf("counted %llu %llu %llu %llu\n", static_cast<unsigned long long>(tally.handshakes),
                static_cast<unsigned long long>(tally.resumed), static_cast<unsigned long long>(tally.messages),
                static_cast<unsigned long long>(tally.errors));
    std::fflush(stdout);
  }
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The host of tlsmux-bench: sends each message back.", "tlsmux-bench-host");
  std::string certificate_file;
  std::string key_file;
  unsigned threads = 1;
  app.add_option("--certificate", certificate_file)->required()->check(CLI::ExistingFile);
  app.add_option("--key", key_file)->required()->check(CLI::ExistingFile);
  app.add_option("--threads", threads)->check(CLI::Range(1, 256))->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  try {
    const auto context = bench::make_host_context(certificate_file, key_file);
    bench::HostTally tally;
    std::deque<bench::HostWorker> workers;
    for (unsigned i = 0; i < threads; ++i) workers.emplace_back(context.get(), tally);
    const auto listener = listen_on_loopback();
    std::printf("listening 127.0.0.1:%u\n", port_of(listener));
    std::fflush(stdout);
    serve(listener, workers, tally);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tlsmux-bench-host: %s\n", error.what());
    return 1;
  }
}
