// A program that talks to nobody: what every program costs before it does.

#include "bench/client/client_main.hpp"

int main(int argc, char** argv) {
  using namespace tlsmux::bench;
  parse_client_arguments(argc, argv);
  const auto board = Board::open(kBoardDescriptor);
  tell(kReady);
  char word = 0;
  return ::read(kControlDescriptor, &word, 1) == 0 ? 0 : 1;
}
