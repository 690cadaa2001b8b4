#pragma once

// The main function of every client program: opens its way to the host, then works whenever it is told to.

#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include "bench/board.hpp"
#include "bench/client/slice.hpp"

namespace tlsmux::bench {

inline constexpr int kControlDescriptor = 3;  // a socket: commands from the conductor, a byte back for each
inline constexpr int kBoardDescriptor = 4;

// What the conductor says and hears.
inline constexpr char kRunSlice = 'g';
inline constexpr char kSliceDone = 'd';
inline constexpr char kReady = 'r';
inline constexpr char kBroken = 'b';

// PROGRAM NUMBER TARGET CA_FILE SESSION_FILE SPIN_US once|stay
struct ClientArguments {
  std::size_t number = 0;     // its place on the board
  std::string target;         // what `Link::open` makes of it
  std::string ca_file;        // of the host's certificate
  std::string session_file;   // where a TLS session is kept from process to process; empty: nowhere
  std::uint32_t spin_us = 0;  // 0: the library's own
  bool once = false;          // one request, from the first call on, then the end
};

inline ClientArguments parse_client_arguments(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "%s is started by tlsmux-bench\n", argv[0]);
    std::exit(2);
  }
  return {.number = std::strtoul(argv[1], nullptr, 10),
          .target = argv[2],
          .ca_file = argv[3],
          .session_file = argv[4],
          .spin_us = static_cast<std::uint32_t>(std::strtoul(argv[5], nullptr, 10)),
          .once = std::string_view(argv[6]) == "once"};
}

inline void tell(char word) {
  if (::send(kControlDescriptor, &word, 1, MSG_NOSIGNAL) != 1) std::exit(1);  // the conductor is gone
}

// One request and its answer, whatever time they take.
template <typename Link>
void ask_once(Link& link, const Board& board, Place& place, OpenRequests& requests) {
  Task task = board.task();
  task.in_flight = task.requests_max = 1;
  task.delay_us_min = task.delay_us_max = 0;
  task.start_ns = 0;
  task.end_ns = UINT64_MAX;
  Slice slice(task, place, {}, requests);
  link.run(slice);
  if (place.answered != 1 && !slice.has_failed()) slice.fail("there was no answer");
}

// From the first call that a program makes to the answer in its hands.
template <typename Link>
int run_once(const ClientArguments& arguments, const Board& board, OpenRequests& requests) {
  auto& place = board.place(arguments.number);
  const auto start_ns = now_ns();
  Link link(arguments);
  ask_once(link, board, place, requests);
  board.samples(arguments.number)[0] = static_cast<std::uint32_t>(now_ns() - start_ns);
  place.sample_count = 1;
  return place.errors == 0 ? 0 : 1;
}

// A Link is made from ClientArguments, and throws std::exception if there is no way to the host; its run(Slice&) asks
// and answers until the slice wants no more and nothing is in flight.
template <typename Link>
int client_main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto arguments = parse_client_arguments(argc, argv);
  const auto board = Board::open(kBoardDescriptor);
  auto& place = board.place(arguments.number);
  OpenRequests requests(static_cast<std::uint64_t>(::getpid()));
  try {
    if (arguments.once) return run_once<Link>(arguments, board, requests);
    Link link(arguments);
    ask_once(link, board, place, requests);
    tell(place.errors == 0 ? kReady : kBroken);
    for (char word = 0; ::read(kControlDescriptor, &word, 1) == 1 && word == kRunSlice;) {
      Slice slice(board.task(), place, board.samples(arguments.number), requests);
      link.run(slice);
      tell(kSliceDone);
    }
    return 0;
  } catch (const std::exception& error) {
    place.errors = 1;
    std::string_view(error.what()).copy(place.error_text.data(), place.error_text.size() - 1);
    if (!arguments.once) tell(kBroken);
    return 1;
  }
}

}  // namespace tlsmux::bench
